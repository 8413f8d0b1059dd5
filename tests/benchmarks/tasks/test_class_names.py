"""The names of classes: as many as there are, and each at its own class."""

import pytest
import torch
from torch_geometric.data import Data

import benchmarks.tasks
from benchmarks.tasks._definition import Dataset

# How many papers of the original `cora.content` are on each topic; 125 of MUTAG's 188 compounds are
# mutagenic, 2,401 of Mutagenicity's 4,337; 3,888 of MUSAE's English streamers are mature.
COUNTS = {
    "cora": {
        "Neural networks": 818,
        "Probabilistic methods": 426,
        "Genetic algorithms": 418,
        "Theory": 351,
        "Case-based": 298,
        "Reinforcement learning": 217,
        "Rule learning": 180,
    },
    "mutag": {"mutagenic": 125, "not mutagenic": 63},
    "mutagenicity": {"mutagen": 2401, "nonmutagen": 1936},
    "twitch-en": {"mature": 3888, "not mature": 3238},
}


@pytest.mark.parametrize("name", COUNTS)
def test_each_class_has_its_own_name(name):
    try:
        dataset = benchmarks.tasks.definition(name).build(None)
    except benchmarks.tasks.Unavailable as error:
        pytest.skip(str(error))
    counts = dataset.data.y.bincount().tolist()
    assert dict(zip(dataset.class_names, counts, strict=True)) == COUNTS[name]


def test_houses_have_their_roles():
    """By whom a node stands in its house: the top touches the middle only."""
    dataset = benchmarks.tasks.definition("ba-shapes").build(None)
    role = [dataset.class_names[kind].partition(" ")[0] for kind in dataset.data.y.tolist()]
    source, target = dataset.data.edge_index[:, dataset.ground_truth].tolist()
    beside = {}
    for u, v in zip(source, target, strict=True):
        beside.setdefault(v, []).append(role[u])
    found = {(role[v], *sorted(others)) for v, others in beside.items()}
    assert found == {
        ("top", "middle", "middle"),
        ("middle", "bottom", "middle", "top"),
        ("bottom", "bottom", "middle"),
    }


def test_not_as_many_names_as_classes():
    data = Data(
        x=torch.ones(2, 1),
        edge_index=torch.zeros(2, 0, dtype=torch.long),
        y=torch.tensor([0, 1]),
        train_mask=torch.ones(2, dtype=torch.bool),
        test_mask=torch.ones(2, dtype=torch.bool),
    )
    with pytest.raises(ValueError, match="has 3 class_names; there must be 2 of them, or none"):
        Dataset(data, provenance="", class_names=("a", "b", "c"))
