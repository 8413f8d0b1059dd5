"""``python -m benchmarks explain``."""

import re

import pytest

import benchmarks.__main__ as command_line
import benchmarks.tasks
import explainers
from explainers import metrics

KARATE = ["explain", "--task", "karate", "--node", "16"]


@pytest.fixture(scope="module")
def karate():
    return benchmarks.tasks.load("karate")


def test_tables_and_picture(tmp_path, monkeypatch, capsys, karate):
    monkeypatch.chdir(tmp_path)
    assert command_line.main([*KARATE, "--edges", "4"]) == 0
    assert (tmp_path / "karate-16.png").read_bytes().startswith(b"\x89PNG")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("karate, node 16: ")
    assert lines[-1] == "picture: karate-16.png"
    for name in ("integrated_gradients", "gnn_explainer", "saliency"):
        start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}, engine "))
        method = explainers.load(name)
        (explanation,) = method.explain(karate.model, karate.data, 16)
        drawn, fidelity, _, first = lines[start + 1 : start + 5]
        assert drawn.strip().startswith("4 of 10 edges drawn: ")
        best = int(explanation.edge_mask.abs().argmax())
        ends = explanation.n_id[explanation.edge_index[:, best]].tolist()
        assert first.split()[:3] == [str(ends[0]), "->", str(ends[1])]
        assert float(first.split()[3]) == pytest.approx(
            float(explanation.edge_mask[best]), abs=1e-4
        )
        rows = metrics.evaluate(
            karate.model,
            karate.data,
            [explanation],
            at=["k=4"],
            semantics=["mask"],
            selections=["absolute"],
        )
        values = {row["metric"]: row["value"] for row in rows}
        plus, minus = values["fidelity+_prob"], values["fidelity-_prob"]
        assert f"fidelity+ = {plus:.3f}, fidelity- = {minus:.3f}" in fidelity


@pytest.mark.parametrize(
    ("ending", "magic"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_the_same_picture_has_the_same_bytes(tmp_path, ending, magic):
    content = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.{ending}"
        assert command_line.main([*KARATE, "--method", "saliency", "--out", str(out)]) == 0
        content.append(out.read_bytes())
    assert content[0].startswith(magic)
    assert content[0] == content[1]
    assert not re.search(rb"20\d\d-\d\d-\d\d", content[0])


def test_the_seeds_reach_the_methods_and_the_model(tmp_path, capsys):
    told = []
    for options in ([], ["--seed", "1"], ["--model-seed", "1"]):
        arguments = [*KARATE, "--method", "random", "--out", str(tmp_path / "a.svg"), *options]
        assert command_line.main(arguments) == 0
        told.append(capsys.readouterr().out.splitlines())
    first, other_seed, other_model = told
    assert first[:2] == other_seed[:2]
    assert first[5:] != other_seed[5:]
    assert first[1] != other_model[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "a.jpg"], "--out a.jpg: the ending must be one of .png, .svg, .pdf; rename it"),
        (["--out", "a"], "--out a: the ending must be one of .png, .svg, .pdf; rename it"),
        (["--out", "no/a.png"], "--out no/a.png: there is no folder no; create it first"),
        (["--edges", "0"], "--edges 0: must be at least 1"),
        (["--method", "salience"], "did you mean 'saliency'?"),
        (["--task", "karata"], "did you mean 'karate'?"),
        (["--node", "34"], "node 34 is out of range: the graph has nodes 0 to 33"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert command_line.main([*KARATE, *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_a_task_that_cannot_be_had(monkeypatch, capsys):
    def load(*arguments, **options):
        raise benchmarks.tasks.Unavailable("put EN.npz into data")

    monkeypatch.setattr(benchmarks.tasks, "load", load)
    assert command_line.main(["explain", "--task", "twitch-en", "--node", "0"]) == 2
    assert "--task twitch-en is unavailable: put EN.npz into data" in capsys.readouterr().err
