"""Cell files: keys, strict JSON, and that what is torn or altered is no cell."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.data import frames
from benchmarks.store.archive import load_run
from benchmarks.store.cell import Cell, cell_key, plain
from benchmarks.store.codec import UnreadableCell, encode, join, seal, spread
from benchmarks.store.folder import load_all, read, write

CONFIG = {
    "task": "ba-shapes",
    "model_seed": 0,
    "method": "integrated_gradients",
    "engine": "batched",
    "options": {"n_steps": 50, "internal_batch_size": 10},
    "device": "cpu",
}
INPUTS = {
    "nodes": [3, 1],
    "dataset_sha256": "d",
    "checkpoint_sha256": "c",
    "source_sha256": "s",
    "versions": {"torch": "2.13.0"},
    "machine": {"cpu": "x", "threads": 2, "gpu": None},
}


def make_cell(**changes):
    arguments = {"benchmark": "runtime", "config": CONFIG, "inputs": INPUTS}
    return Cell(**{**arguments, **changes})


def test_round_trip(tmp_path):
    cell = make_cell(
        runtime=[{"repeat": 0, "node": 3, "nodes": 1, "seconds": 0.5, "peak_bytes": None}],
        quality=[{"node": 3, "metric": "gini", "level": "", "semantics": "", "value": 0.12345}],
    )
    path = write(tmp_path / "cells", cell)
    assert path.name == f"{cell.key}.json"
    assert read(path) == cell
    document = json.loads(path.read_text())
    assert list(document) == [
        "schema",
        "benchmark",
        "key",
        "status",
        "message",
        "config",
        "inputs",
        "runtime",
        "quality",
        "sha256",
    ]
    assert document["schema"] == 2
    assert load_all(tmp_path / "cells") == ([cell], [])
    assert [entry.name for entry in (tmp_path / "cells").iterdir()] == [path.name]


def test_splits_are_kept_and_absent_if_there_were_none(tmp_path):
    for splits in (0, 3):
        path = write(tmp_path, make_cell(splits=splits))
        assert ("splits" in json.loads(path.read_text())) == bool(splits)
        assert read(path).splits == splits
    assert path.stem == make_cell().key  # they are found, and determine nothing


def metric_row(node, metric, value, **more):
    return {"node": node, "metric": metric, "level": "k=1", "semantics": "", "value": value, **more}


def test_rows_that_differ_in_node_and_value_share_an_entry(tmp_path):
    rows = [
        metric_row(node, metric, node / 7) for node in (12, 3, 3) for metric in ("common", "other")
    ]
    rows += [metric_row(node, "elsewhere", 1.0) for node in (5, 6)]
    rows += [metric_row(5, "once", 0.0), {"metric": "whole", "value": 2.0}]
    rows += [metric_row(5, "lost", float("nan")), metric_row(6, "lost", 0.5)]
    path = write(tmp_path, make_cell(quality=rows))
    document = json.loads(path.read_text())
    assert document["nodes"] == [12, 3, 3]
    short = {"level": "k=1", "semantics": ""}
    assert document["quality"] == [
        {"metric": "common", **short, "value": [1.7143, 0.42857, 0.42857]},
        {"metric": "other", **short, "value": [1.7143, 0.42857, 0.42857]},
        {"node": [5, 6], "metric": "elsewhere", **short, "value": [1, 1]},
        {"node": 5, "metric": "once", **short, "value": 0},
        {"metric": "whole", "value": 2},
        {"node": 5, "metric": "lost", **short, "value": None, "status": "error"},
        {"node": 6, "metric": "lost", **short, "value": 0.5},
    ]
    found = read(path)
    assert seal(encode(found)) == path.read_text()  # what was read can be written again

    def of(rows, name):
        return [
            (row["node"], pytest.approx(row["value"], rel=5e-5))
            for row in rows
            if row["metric"] == name
        ]

    for name in ("common", "other", "elsewhere", "once"):
        assert of(spread(found.quality), name) == of(rows, name)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"metric": st.sampled_from("ab"), "value": st.floats(-1, 1) | st.none()},
            optional={"node": st.integers(0, 3), "status": st.just("ok")},
        )
    )
)
def test_joining_loses_no_row(rows):
    nodes, entries = join(rows)
    whole = [
        {"node": nodes, **entry} if isinstance(entry.get("value"), list) else entry
        for entry in entries
    ]

    def counted(rows):
        texts = [
            {**row, "value": None if row["value"] is None else 0.0 + float(f"{row['value']:.5g}")}
            for row in rows
        ]
        return sorted(json.dumps(text, sort_keys=True) for text in texts)

    assert counted(spread(whole)) == counted(rows)


def test_published_cells_of_schema_1_are_read(tmp_path):
    path = write(tmp_path, make_cell())
    document = json.loads(path.read_text())
    del document["sha256"]  # there were no checksums yet
    rows = [metric_row(node, "gini", 0.1 + 0.2) for node in (1, 2)]
    path.write_text(json.dumps({**document, "schema": 1, "quality": rows}))
    assert read(path).quality == rows


def test_results_are_readable_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        path = write(tmp_path, make_cell())
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o644


def changed(where, name, value):
    config, inputs = {**CONFIG}, {**INPUTS}
    {"config": config, "inputs": inputs}[where][name] = value
    return cell_key("runtime", config, inputs)


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("config", "task", "karate"),
        ("config", "model_seed", 1),
        ("config", "method", "saliency"),
        ("config", "engine", "stock"),
        ("config", "options", {"n_steps": 50, "internal_batch_size": "all"}),
        ("config", "device", "cuda"),
        ("inputs", "nodes", [1, 3]),
        ("inputs", "nodes", [3]),
        ("inputs", "dataset_sha256", "e"),
        ("inputs", "checkpoint_sha256", "e"),
        ("inputs", "source_sha256", "e"),
        ("inputs", "versions", {"torch": "2.14.0"}),
        ("inputs", "machine", {"cpu": "x", "threads": 1, "gpu": None}),
        ("inputs", "part", {"repeat": 1}),
        ("inputs", "rounds", 5),
    ],
)
def test_key_changes_with_each_determinant(where, name, value):
    assert changed(where, name, value) != cell_key("runtime", CONFIG, INPUTS)


def test_key_changes_with_the_benchmark():
    assert cell_key("quality", CONFIG, INPUTS) != cell_key("runtime", CONFIG, INPUTS)


def test_key_is_stable():
    key = cell_key("runtime", CONFIG, INPUTS)
    assert len(key) == 16
    assert int(key, 16) >= 0
    backwards = dict(reversed(CONFIG.items()))
    assert cell_key("runtime", backwards, {**INPUTS, "nodes": (3, 1)}) == key
    # Pinned: a change of the canonical form would orphan every published cell.
    assert cell_key("runtime", {"task": "karate"}, {"nodes": [1]}) == "a024ec3032c0802e"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.floats(allow_nan=False).filter(lambda value: abs(value) != float("inf")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_plain_data_survive_json(value):
    assert json.loads(json.dumps(plain(value))) == value


def test_numbers_of_numpy_and_torch_become_plain():
    values = [np.float32(0.5), np.int64(3), np.bool_(True), torch.tensor(2), (1, 2)]
    converted = plain(values)
    assert converted == [0.5, 3, True, 2, [1, 2]]
    assert [type(value) for value in converted] == [float, int, bool, int, list]


@pytest.mark.parametrize(
    "value", [torch.ones(2), np.ones(2), object(), {1: 2}, float("nan"), b"bytes", {3}]
)
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(ValueError, match=r"cells hold text|not a finite number"):
        Cell("runtime", {"options": value})


def test_values_that_are_not_finite_become_null_and_are_told():
    cell = make_cell(
        runtime=[{"seconds": float("inf"), "status": "ok"}, {"seconds": 1.0, "status": "ok"}],
        quality=[{"metric": "a", "value": np.float32("nan")}, {"metric": "b", "value": 0.5}],
    )
    document = json.loads(encode(cell), parse_constant=pytest.fail)
    assert document["runtime"][0] == {"seconds": None, "status": "error"}
    assert document["runtime"][1]["status"] == "ok"
    assert document["quality"] == [
        {"metric": "a", "value": None, "status": "error"},
        {"metric": "b", "value": 0.5},
    ]
    assert document["status"] == "ok"
    assert document["message"] == "2 values not finite, written as null"


def test_unknown_status():
    with pytest.raises(ValueError, match="unknown status 'fine'; use one of ok"):
        encode(make_cell(status="fine"))


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1, "ben', "\0\0\0", "[]", "null"])
def test_torn_files(tmp_path, content):
    good = write(tmp_path, make_cell())
    torn = tmp_path / "0123456789abcdef.json"
    torn.write_text(content)
    with pytest.raises(UnreadableCell, match=r"0123456789abcdef\.json is no"):
        read(torn)

    found, problems = load_all(tmp_path)
    assert [cell.key for cell in found] == [good.stem]
    assert len(problems) == 1
    assert torn.name in problems[0]
    assert torn.exists()  # reading touches nothing

    found, problems = load_all(tmp_path, set_aside=True)
    assert [cell.key for cell in found] == [good.stem]
    assert problems[0].endswith("set aside")
    assert not torn.exists()
    assert (tmp_path / "aside" / torn.name).read_text() == content
    assert load_all(tmp_path) == (found, [])


def test_every_cut_of_a_file_is_noticed(tmp_path):
    path = write(tmp_path, make_cell())
    content = path.read_bytes().rstrip()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(UnreadableCell):
            read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 3}, "its schema is 3"),
        ({"quality": [1]}, "'quality' holds a int"),
        ({"quality": [{"metric": "m", "value": [1, 2]}]}, "'m' has 2 values for other nodes"),
        ({"status": "fine"}, "its status is 'fine'"),
        ({"splits": -1}, "its splits are -1"),
        ({"splits": True}, "its splits are True"),
        ({"runtime": {}}, "'runtime' must be a list"),
        ({"config": None}, "'config' must be a dict"),
        ({"key": "f" * 16}, "its key is 'ffff"),
    ],
)
def test_foreign_files(tmp_path, change, message):
    path = write(tmp_path, make_cell())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UnreadableCell, match=message):
        read(path)


def test_every_altered_byte_is_noticed(tmp_path):
    path = write(tmp_path, make_cell(quality=[{"metric": "gini", "value": 0.25}]))
    content = path.read_bytes()
    assert b'"value": 0.25' in content
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1
        path.write_bytes(altered)
        try:
            # Only the checksum's own name can change unseen: all else is as it was written.
            assert read(path).quality == [{"metric": "gini", "value": 0.25}]
            assert content[:position].count(b"\n") >= content.count(b"\n") - 2
        except UnreadableCell:
            pass


def test_an_altered_value_and_its_message(tmp_path):
    path = write(tmp_path, make_cell(quality=[{"metric": "gini", "value": 0.25}]))
    path.write_text(path.read_text().replace("0.25", "0.75"))
    with pytest.raises(UnreadableCell, match="it was altered, its checksum is another"):
        read(path)
    path.write_text(path.read_text().replace(' "sha256"', ' "sha256": "", "sha256"'))
    with pytest.raises(UnreadableCell, match="its checksum is not its last entry"):
        read(path)


def test_another_configuration_under_the_same_key(tmp_path):
    path = write(tmp_path, make_cell())
    text = path.read_text().replace('"karate"', '"cora"').replace('"ba-shapes"', '"cora"')
    path.write_text(text)
    with pytest.raises(UnreadableCell, match="its key is that of another content"):
        read(path)


def test_cells_of_before_the_checksum_are_read(tmp_path):
    cell = make_cell(quality=[{"metric": "gini", "value": 0.25}])
    path = tmp_path / f"{cell.key}.json"
    path.write_text(encode(cell).replace('"schema": 2', '"schema": 1'))
    assert "sha256" not in json.loads(path.read_text())
    assert read(path) == cell
    path.write_text(seal(encode(cell)))
    assert read(path) == cell


def test_a_cell_whose_checksum_was_taken_away_is_refused(tmp_path):
    path = write(tmp_path, make_cell())
    text = re.sub(r',\n "sha256": "[0-9a-f]+"', "", path.read_text())
    path.write_text(text)
    with pytest.raises(UnreadableCell, match="it has no checksum"):
        read(path)


@pytest.mark.parametrize("value", [6e78, -3.5e300, 2**62, 2**63, -(2**70), float("inf")])
def test_what_the_writer_writes_the_reader_takes(tmp_path, value):
    cell = make_cell(quality=[{"metric": "infidelity", "value": value}])
    found = read(write(tmp_path, cell))
    written = found.quality[0]["value"]
    if value in (6e78, -3.5e300, 2**62):
        assert written == pytest.approx(value)
    else:
        assert written is None
        assert found.quality[0]["status"] == "error"


def test_a_message_with_anything_in_it(tmp_path):
    cell = make_cell(status="error", message="bell \x07, left \u202e, half \ud800, line\nend")
    assert read(write(tmp_path, cell)).message == "bell  , left \ufffd, half \ufffd, line end"


def test_published_cells_are_read():
    manifests = sorted((Path(__file__).parents[3] / "results").glob("2*/manifest.json"))
    assert manifests
    for folder in (manifest.parent for manifest in manifests):
        found, problems = load_run(folder)
        assert found
        assert problems == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from([None, "splits", *json.loads(encode(make_cell(quality=[{"value": 1.0}])))]),
    JSON,
    JSON,
)
def test_any_json_is_a_cell_or_set_aside(tmp_path_factory, entry, value, row):
    """Whatever a file holds: one message, and what is read can be put into the tables."""
    folder = tmp_path_factory.mktemp("cells")
    document = json.loads(encode(make_cell(quality=[{"value": 1.0}])))
    document = value if entry is None else {**document, entry: value, "runtime": [row]}
    key = "0" * 16
    if isinstance(document, dict) and entry in ("benchmark", "config", "inputs"):
        with contextlib.suppress(ValueError, TypeError):  # else the key alone would refuse it
            parts = (document[name] for name in ("benchmark", "config", "inputs"))
            document["key"] = key = cell_key(*parts)
    elif isinstance(document, dict):
        key = make_cell().key
    (folder / f"{key}.json").write_text(json.dumps(document))
    found, problems = load_all(folder, set_aside=True)
    assert len(found) + len(problems) == 1
    assert len(list((folder / "aside").glob("*"))) == len(problems)
    frames.quality_frame(found)
    frames.runtime_frame(found)


@given(st.binary(max_size=60), st.integers(0, 2000), st.integers(0, 60))
def test_any_damage_is_set_aside(tmp_path_factory, noise, position, length):
    folder = tmp_path_factory.mktemp("cells")
    cell = make_cell(quality=[{"metric": "gini", "value": 0.25}])
    path = write(folder, cell)
    content = path.read_bytes()
    path.write_bytes(content[:position] + noise + content[position + length :])
    found, problems = load_all(folder, set_aside=True)
    assert len(found) + len(problems) == 1
    assert found in ([], [cell])


def test_nan_in_a_file_is_refused(tmp_path):
    path = write(tmp_path, make_cell(quality=[{"value": 0.25}]))
    path.write_text(path.read_text().replace("0.25", "NaN"))
    with pytest.raises(UnreadableCell, match="NaN is not JSON"):
        read(path)


def test_reading_cells_needs_no_torch():
    program = "import sys; import benchmarks.store.cell; print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
