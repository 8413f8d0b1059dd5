"""Whatever stands in an option, a raw file or a checkpoint: one clear error, or all is well.

Cell files have theirs in ``store/test_cells.py``.
"""

import io
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.options import PROFILES, make_plan
from benchmarks.tasks import _training, karate, twitch_en
from benchmarks.tasks._models import GNN

few = hypothesis.settings(max_examples=40, deadline=None)
short = st.text(max_size=8)


@few
@given(
    profile=st.sampled_from(list(PROFILES)) | short,
    tasks=st.lists(st.sampled_from(["karate", "cora"]) | short, max_size=2),
    methods=st.lists(st.sampled_from(["random", "saliency"]) | short, max_size=2),
    device=st.none() | st.just("cpu") | short,
    nodes=st.none() | st.integers(),
    seeds=st.none() | st.integers(),
    cell_timeout=st.none() | st.floats(),
    trust_data=st.lists(short, max_size=1),
    data_root=st.none() | short.filter(lambda name: "\0" not in name).map(Path),
    results=st.none() | short.filter(lambda name: "\0" not in name).map(Path),
    resume=st.booleans(),
)
def test_options(**options):
    message = None
    try:
        plan = make_plan(**options)
    except ValueError as error:
        message = str(error)
    if message is None:
        assert plan.nodes >= 1
        assert plan.profile in PROFILES
    else:
        assert message.startswith("--")


def archive():
    """The bytes of a small ``EN.npz`` of the right kind but the wrong size."""
    buffer = io.BytesIO()
    arrays = {"edges": np.ones((3, 2), int), "features": np.ones((2, 2)), "target": np.ones(2, int)}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


damage = st.tuples(st.integers(0, 2000), st.binary(max_size=40), st.integers(0, 2000))


def damaged(content, position, noise, length):
    return content[:position] + noise + content[position + length :]


@few
@given(st.binary(max_size=200) | damage.map(lambda change: damaged(archive(), *change)))
def test_raw_files(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("root")
    path = root / "Twitch" / "EN" / "raw" / "EN.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"EN\.npz"):
        twitch_en.build(root)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint's bytes, and the weights in it."""
    path = tmp_path_factory.mktemp("checkpoint") / "a.pt"
    data = karate.build(None).data
    model = GNN([data.num_features, 4, 4])
    _training._store(model, path, "key")
    return path.read_bytes(), model.state_dict()


@few
@given(st.none() | st.binary(max_size=200), damage)
def test_checkpoints(tmp_path_factory, checkpoint, other, change):
    content, weights = checkpoint
    path = tmp_path_factory.mktemp("checkpoint") / "a.pt"
    path.write_bytes(damaged(content, *change) if other is None else other)
    dims = [weights["convs.0.lin.weight"].size(1), 4, 4]
    model = GNN(dims)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in model.parameters():
            torch.nn.init.ones_(parameter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        restored = _training._restore(model, path, "key")
    expected = weights if restored else {name: torch.ones_like(w) for name, w in weights.items()}
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert restored or "is damaged" in str(caught[-1].message)
