"""The typed motif: what must be found is found; by hand; and scored over all types and by type."""

import math

import pytest
import torch

import explainers
from benchmarks.tasks.hetero_motif import CITES, ON, PUBLISHES, WRITTEN, WhiteBox, motif
from explainers import metrics

ENGINES = ["batched", "stock"]


@pytest.fixture(scope="module")
def white_box():
    data, truth = motif(dtype=torch.float64)
    return WhiteBox().double(), data, truth


def test_the_model_is_right(white_box):
    model, data, truth = white_box
    output = model(data.x_dict, data.edge_index_dict)
    assert torch.equal(output.argmax(dim=1), data["author"].y)
    assert output[0].tolist() == [-0.5, 0.5]
    assert sum(int(one.sum()) for one in truth.values()) == 3 * 10


def test_every_edge_of_a_hit_is_needed_and_no_other_matters(white_box):
    """The truth proved by deletion of each edge by itself."""
    model, data, truth = white_box
    before = model(data.x_dict, data.edge_index_dict)
    for name, needed in truth.items():
        for edge in range(0, len(needed), 1 if bool(needed.any()) else 7):
            kept = torch.arange(len(needed)) != edge
            edges = {**data.edge_index_dict, name: data[name].edge_index[:, kept]}
            after = model(data.x_dict, edges)
            assert bool((after != before).any()) == bool(needed[edge])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "options"),
    [("occlusion", {}), ("input_x_gradient", {}), ("integrated_gradients", {"n_steps": 40})],
)
def test_white_box_truth_is_found(white_box, name, options, engine):
    model, data, truth = white_box
    nodes = [0, 6, 18]
    method = explainers.load(name, engine=engine, **options)
    for explanation in method.explain(model, data, ("author", nodes)):
        for kind, needed in truth.items():
            own = needed[explanation[kind].e_id]
            assert bool((explanation[kind].edge_mask[own].abs() > 0.1).all())
            assert float(explanation[kind].edge_mask[~own].abs().sum()) == pytest.approx(0)
        assert sum(int((explanation[k].edge_mask != 0).sum()) for k in truth) >= 3


@pytest.mark.parametrize("engine", ENGINES)
def test_by_hand(white_box, engine):
    """Author 0, class 1: F = v + t - 1 - 1/2 where v and t are the messages to the hit, each 1.

    On the path a (features and masks) v = t = a^2 and the hit sends a relu(2 a^2 - 1), so that
    F + 1/2 = a (2 a^2 - 1) from a = 1/sqrt(2) on. The gradients at a: by the masks of the venue's
    and the term's messages a * a = a^2; likewise by their marks; by that of the hit 2 a^2 - 1.
    Integrals from 1/sqrt(2) to 1: of a^2 (1 - 2^(-3/2)) / 3, of 2 a^2 - 1 twice that less the
    length of the way.
    """
    model, data, _ = white_box
    method = explainers.load("integrated_gradients", engine=engine, n_steps=150)
    (explanation,) = method.explain(model, data, ("author", 0))
    square = (1 - 2**-1.5) / 3
    hit = 2 * square - (1 - math.sqrt(0.5))
    for kind, expected in ((PUBLISHES, square), (ON, square), (WRITTEN, hit)):
        own = explanation[kind].e_id == 0  # the first paper is the hit of author 0
        assert float(explanation[kind].edge_mask[own]) == pytest.approx(expected, abs=1e-2)
    marks = explanation["venue"].node_mask.sum(), explanation["term"].node_mask.sum()
    assert [float(one) for one in marks] == pytest.approx([square, square], abs=1e-2)
    assert not explanation["paper"].node_mask.any()  # no weight reads them
    assert not explanation[CITES].edge_mask.any()
    total = 4 * square + hit
    assert total == pytest.approx(1)  # F(x) - F(0) = 1/2 - (-1/2)
    assert float(explanation.convergence_delta) == pytest.approx(0, abs=1e-2)


def values(rows, node, metric, **at):
    found = [
        row["value"]
        for row in rows
        if row["node"] == node
        and row["metric"] == metric
        and all(row[key] == value for key, value in at.items())
    ]
    assert found, (metric, at)
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("semantics", ["mask", "delete"])
def test_fidelity_and_sparsity_over_all_types_by_hand(white_box, semantics, engine):
    model, data, truth = white_box
    explanations = explainers.load("occlusion").explain(model, data, ("author", [0, 1]))
    rows = metrics.evaluate(
        model,
        data,
        explanations,
        at=["k=1", "k=2", "k=5"],
        semantics=[semantics],
        selections=["signed"],
        metrics=["fidelity", "sparsity", "ground_truth"],
        truth=truth,
        engine=engine,
    )
    # Logits (-1/2, 1/2) of author 0, and (1/2, -1/2) without any of the hit's three edges.
    gap = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(1))
    at = {"semantics": semantics, "selection": "signed"}
    for level, plus, minus in (("k=1", gap, gap), ("k=2", gap, gap), ("k=5", gap, 0)):
        # One or two edges of the three are enough to lose the class, and too few to keep it.
        for metric, expected in (("fidelity+_prob", plus), ("fidelity-_prob", minus)):
            assert values(rows, 0, metric, level=level, **at) == pytest.approx([expected])
            # Author 1 has no hit: no edge speaks for or against their class.
            assert values(rows, 1, metric, level=level, **at) == pytest.approx([0], abs=1e-12)
    count = sum(explanations[0][kind].edge_mask.numel() for kind in data.edge_types)
    (edges,) = values(rows, 0, "computation_graph_edges")
    assert edges == count == 4 * 3 + explanations[0][CITES].e_id.numel()
    assert values(rows, 0, "sparsity", level="k=5") == pytest.approx([1 - 5 / count])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("semantics", ["mask", "delete"])
def test_by_type_by_hand(white_box, semantics, engine):
    """Of the papers of author 0 the one with the hit alone: others of the type go or stay."""
    model, data, truth = white_box
    explanations = explainers.load("occlusion").explain(model, data, ("author", [0]))
    gap = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(1))
    for edge_type, plus in ((WRITTEN, gap), (PUBLISHES, gap), (CITES, 0)):
        rows = metrics.evaluate(
            model,
            data,
            explanations,
            at=["k=1", "f=100%"],
            semantics=[semantics],
            selections=["signed"],
            metrics=["fidelity", "sparsity"],
            truth=truth,
            engine=engine,
            edge_type=edge_type,
        )
        at = {"level": "k=1", "selection": "signed"}
        assert values(rows, 0, "fidelity+_prob", **at) == pytest.approx([plus], abs=1e-12)
        # The one edge is enough: edges of other types stay.
        assert values(rows, 0, "fidelity-_prob", **at) == pytest.approx([0], abs=1e-12)
        count = explanations[0][edge_type].edge_mask.numel()
        assert values(rows, 0, "computation_graph_edges") == [count]
        assert values(rows, 0, "sparsity", level="k=1") == pytest.approx([1 - 1 / count])


def test_all_metrics_score_them_alike_on_both_engines(white_box):
    model, data, truth = white_box
    explanations = explainers.load("integrated_gradients", n_steps=9).explain(
        model, data, ("author", [2, 3])
    )
    found = [
        metrics.evaluate(model, data, explanations, at=["k=2"], truth=truth, engine=engine)
        for engine in ENGINES
    ]
    assert [{**row, "value": 0} for row in found[0]] == [{**row, "value": 0} for row in found[1]]
    for one, other in zip(*found, strict=True):
        assert one["value"] == pytest.approx(other["value"], abs=1e-9, nan_ok=True), one
    names = {row["metric"] for row in found[0]}
    assert {"fidelity+_prob", "sparsity", "auroc", "unfaithfulness"} <= names


def test_what_cannot_be_scored_is_named(white_box):
    model, data, truth = white_box
    explanations = explainers.load("saliency").explain(model, data, ("author", [0]))

    def refused(message, **options):
        with pytest.raises(ValueError, match=message):
            metrics.evaluate(model, data, options.pop("of", explanations), **options)

    refused("no such type; it has", edge_type=("author", "to", "author"))
    refused("must be a dictionary of bool tensors", truth=torch.ones(3, dtype=torch.bool))
    refused("must be a dictionary of bool tensors", truth={CITES: truth[ON]})
    refused("takes features of random nodes", metrics=["rdt_fidelity"])
    other, _ = motif(1, dtype=torch.float64)
    del other[CITES]
    with pytest.raises(ValueError, match="has not the types of data"):
        metrics.evaluate(model, other, explanations)
    one = data.to_homogeneous(node_attrs=[], edge_attrs=[])
    one.x = torch.ones(one.num_nodes, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="edge_type is by edge type, but data has no types"):
        metrics.evaluate(model, one, [], edge_type=CITES)
    assert metrics.evaluate(model, data, []) == []


def test_truth_of_some_types_is_enough(white_box):
    model, data, truth = white_box
    explanations = explainers.load("occlusion").explain(model, data, ("author", [0]))
    part = {name: truth[name] for name in (WRITTEN, PUBLISHES, ON)}
    found = [
        metrics.evaluate(model, data, explanations, at=["k=2"], metrics=["ground_truth"], truth=one)
        for one in (truth, part)
    ]
    assert found[0] == found[1]
    (auc,) = {row["value"] for row in found[0] if row["metric"] == "auroc"}
    assert auc == 1
