"""The evaluation of metrics against the model asked by hand, on the whole graph."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

import explainers
from explainers import metrics
from explainers.metrics import _evaluate

from ..conftest import (
    CONVS,
    LOOPS,
    POOLS,
    WEIGHTED,
    predict,
    random_batch,
    random_graph,
    random_graph_model,
    random_model,
)

BUDGETS = ("k=1", "k=3", "f=50%", "f=100%")
VALUES = {"spied": metrics.Value(title="spied", direction="", description="For a test.")}


def frame(rows):
    return pd.DataFrame(rows).set_index(["node", "metric", "level", "semantics"])["value"]


def evaluated(model, data, nodes=(0, 4, 11), **options):
    explanations = explainers.load("saliency").explain(model, data, list(nodes))
    options = {"selections": ["absolute"]} | options
    return frame(metrics.evaluate(model, data, explanations, at=BUDGETS, **options)), explanations


@pytest.mark.parametrize("conv", sorted(CONVS))
@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("weighted", [False, True])
def test_in_bulk_as_one_by_one(conv, loops, weighted):
    if weighted and conv not in WEIGHTED:
        pytest.skip("takes no weights")
    data, model = random_graph(9, loops=loops, weighted=weighted), random_model(9, conv)
    bulk, _ = evaluated(model, data, engine="batched")
    single, _ = evaluated(model, data, engine="stock")
    default, _ = evaluated(model, data)  # analytic or hoisted, if they support the model
    squeezed, _ = evaluated(model, data, engine="batched", memory_budget=1)
    pd.testing.assert_series_equal(bulk, single, rtol=1e-9, atol=1e-9)
    pd.testing.assert_series_equal(bulk, squeezed, rtol=1e-9, atol=1e-9)
    pd.testing.assert_series_equal(bulk, default, rtol=1e-9, atol=1e-9)


# Every layer with every kind of loops and with every pooling, but not with every two of these.
@pytest.mark.parametrize(
    ("conv", "loops", "pool"),
    [
        (conv, loops, sorted(POOLS)[(i + j) % 3])
        for i, conv in enumerate(sorted(CONVS))
        for j, loops in enumerate(LOOPS)
    ],
)
def test_graphs_in_bulk_as_one_by_one(conv, loops, pool):
    data, model = random_batch(9, loops=loops), random_graph_model(9, conv, pool=pool)
    bulk, _ = evaluated(model, data, engine="batched")
    single, _ = evaluated(model, data, engine="stock")
    squeezed, _ = evaluated(model, data, memory_budget=1)
    pd.testing.assert_series_equal(bulk, single, rtol=1e-9, atol=1e-9)
    pd.testing.assert_series_equal(bulk, squeezed, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("engine", ["hoisted", "batched", "stock"])
def test_fidelity_of_graphs_by_hand(engine):
    data, model = random_batch(2), random_graph_model(2)
    values, explanations = evaluated(model, data, engine=engine, semantics=["delete"])
    full = predict(model, data).exp()
    for graph, explanation in zip((0, 4, 11), explanations, strict=True):
        target = int(explanation.target)
        order = explanation.edge_mask.abs().sort(descending=True, stable=True).indices
        for budget in BUDGETS:
            chosen = explanation.e_id[order[: metrics.size(budget, len(order))]]
            left = data.clone()  # in the batch, with all edges of the other graphs
            kept = torch.ones(data.num_edges, dtype=torch.bool)
            kept[chosen] = False
            left.edge_index = data.edge_index[:, kept]
            without = float(predict(model, left)[graph, target].exp())
            kept[explanation.e_id] = ~kept[explanation.e_id]
            left.edge_index = data.edge_index[:, kept]
            only = float(predict(model, left)[graph, target].exp())
            whole = float(full[graph, target])
            plus = values[graph, "fidelity+_prob", budget, "delete"]
            assert plus == pytest.approx(whole - without, abs=1e-12)
            minus = values[graph, "fidelity-_prob", budget, "delete"]
            assert minus == pytest.approx(whole - only, abs=1e-12)
    assert values[4, "fidelity-_prob", "f=100%", "delete"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("semantics", metrics.SEMANTICS)
@pytest.mark.parametrize("engine", ["analytic", "hoisted", "batched", "stock"])
def test_fidelity_by_hand(semantics, engine, graph, model):
    values, explanations = evaluated(model, graph, engine=engine)

    def probability(kept, node, target):
        with torch.no_grad():
            if semantics == "delete":
                out = model(graph.x, graph.edge_index[:, kept])
            else:
                set_masks(model, kept.double(), graph.edge_index, apply_sigmoid=False)
                out = model(graph.x, graph.edge_index)
                clear_masks(model)
        return float(out[node, target].exp())

    for node, explanation in zip((0, 4, 11), explanations, strict=True):
        target = int(explanation.target)
        everything = torch.ones(graph.num_edges, dtype=torch.bool)
        full = probability(everything, node, target)
        order = explanation.edge_mask.abs().sort(descending=True, stable=True).indices
        for budget in BUDGETS:
            chosen = explanation.e_id[order[: metrics.size(budget, len(order))]]
            without, only = everything.clone(), ~everything
            without[chosen], only[chosen] = False, True
            plus = full - probability(without, node, target)
            minus = full - probability(only, node, target)
            assert values[node, "fidelity+_prob", budget, semantics] == pytest.approx(plus)
            assert values[node, "fidelity-_prob", budget, semantics] == pytest.approx(minus)


def test_whole_selection_and_no_edges(graph, model):
    values, _ = evaluated(model, graph)
    for node in (0, 4):
        # Deleted, also the edges beyond the computation graph are gone, which counted in its
        # border's degrees.
        assert values[node, "fidelity-_prob", "f=100%", "mask"] == pytest.approx(0)
        assert values[node, "sparsity", "f=100%", ""] == 0
    alone = values[11]  # an isolated node: there is nothing to select
    fidelity = alone[alone.index.get_level_values("metric").str.startswith("fidelity")]
    assert (fidelity.abs() < 1e-12).all()


def test_rows_are_complete(graph, model):
    values, _ = evaluated(model, graph, nodes=[0, 4])
    names = {name for _, name, _, _ in values.index}
    assert {"fidelity+_prob", "fidelity-_acc", "characterization_prob", "sparsity"} <= names
    asked = [name for name in names if name.startswith(("fidelity", "characterization"))]
    assert len(asked) == 6
    for node in (0, 4):
        for name in asked:
            for budget in BUDGETS:
                for semantics in metrics.SEMANTICS:
                    assert np.isfinite(values[node, name, budget, semantics])
    assert not values.index.duplicated().any()


def test_completeness_is_asked_of_who_claims_it(graph, model):
    claims = explainers.load("integrated_gradients", n_steps=7).explain(model, graph, 0)
    rows = frame(metrics.evaluate(model, graph, claims, metrics=["completeness"]))
    assert rows[0, "completeness", "", ""] == pytest.approx(abs(float(claims[0].convergence_delta)))
    others = explainers.load("saliency").explain(model, graph, 0)
    assert metrics.evaluate(model, graph, others, metrics=["completeness"]) == []


def test_labels_make_it_phenomenon(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, 0)
    wrong = [(int(explanations[0].target) + 1) % 3]
    options = {"at": ["k=1"], "metrics": ["fidelity"], "semantics": ["mask"]}
    options["selections"] = ["signed"]
    rows = frame(metrics.evaluate(model, graph, explanations, labels=wrong, **options))
    assert rows[0, "fidelity+_acc", "k=1", "mask"] <= 0


def test_ground_truth_belongs_to_the_graphs_edges(graph, model):
    nodes = [0, 4, 11]
    explanations = explainers.load("saliency").explain(model, graph, nodes)
    truth = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(0)) < 0.4
    options = {"metrics": ["ground_truth"], "selections": ["absolute"]}
    rows = frame(metrics.evaluate(model, graph, explanations, truth=truth, **options))
    for node, explanation in zip(nodes[:2], explanations, strict=False):
        right = truth[explanation.e_id]
        scores = explanation.edge_mask.abs()
        above = (scores[right][:, None] - scores[~right]).sign()  # duplicate edges are equal
        auroc = float((above + 1).mean()) / 2
        assert rows[node, "auroc", "", ""] == pytest.approx(auroc)
        chosen = scores.sort(descending=True, stable=True).indices[:10]
        recall = float(right[chosen].sum() / right.sum())
        assert rows[node, "recall", "k=10", ""] == pytest.approx(recall)
    assert 11 not in rows.index.get_level_values("node")  # it has no edges to separate
    assert metrics.evaluate(model, graph, explanations, metrics=["ground_truth"]) == []


def test_ground_truth_of_each_node_and_several_right_explanations(graph, model):
    """A row of the truth counts for its node alone; alternatives are those of the same edges."""
    nodes = [4, 0]
    explanations = explainers.load("saliency").explain(model, graph, nodes)
    truth = torch.rand(12, graph.num_edges, generator=torch.Generator().manual_seed(0)) < 0.4
    asked = {"metrics": ["ground_truth"], "at": ["k=2"], "selections": ["absolute"]}
    together = frame(metrics.evaluate(model, graph, explanations, truth=truth, **asked))
    for node, explanation in zip(nodes, explanations, strict=True):
        alone = metrics.evaluate(model, graph, [explanation], truth=truth[node], **asked)
        assert {value: together[node, value, level, ""] for value, level in _names(alone)} == {
            (row["metric"], row["level"])[0]: row["value"] for row in alone
        }
    options = {**asked, "metrics": ["best_match"]}
    best = frame(metrics.evaluate(model, graph, explanations, alternatives=truth[:3], **options))
    for node, explanation in zip(nodes, explanations, strict=True):
        each = [
            metrics.evaluate(model, graph, [explanation], truth=row, **asked) for row in truth[:3]
        ]
        values = [r["value"] for rows in each for r in rows if r["metric"] == "auroc"]
        assert best[node, "best_auroc", "", ""] == pytest.approx(max(values))


def _names(rows):
    return [(row["metric"], row["level"]) for row in rows]


def test_truth_with_rows_of_another_graph(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, 0)
    for name, shape, message in (
        ("truth", (3, graph.num_edges), "truth has 3 rows; it must be one for each of the 12"),
        ("truth", (graph.num_edges - 1,), r"truth must be a bool tensor \[\d+\]"),
        ("alternatives", (graph.num_edges,), r"alternatives must be a bool tensor \[A, \d+\]"),
    ):
        marks = {name: torch.zeros(shape, dtype=torch.bool)}
        with pytest.raises(ValueError, match=message):
            metrics.evaluate(model, graph, explanations, **marks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": ["k=0"]}, "edge budget 'k=0'"),
        ({"semantics": ["cut"]}, "unknown semantics 'cut'; use mask or delete"),
        ({"selections": ["sign"]}, "unknown selection 'sign'; use signed or absolute"),
        ({"at": []}, "at must name at least one edge budget, such as 'k=10' or 'f=20%', got none"),
        ({"selections": []}, "selections must name at least one of: signed, absolute"),
        ({"metrics": ["fidelty"]}, "unknown metric 'fidelty'; .* did you mean 'fidelity'"),
        (
            {"engine": "fast"},
            "unknown engine 'fast'; metrics have: analytic, hoisted",
        ),
        ({"labels": [0, 1]}, "2 labels for 1 explanations"),
        ({"truth": torch.ones(3).bool()}, r"truth .* bool tensor \[\d+\], .* got torch.bool \[3\]"),
        ({"truth": torch.ones(3)}, "truth must be a bool tensor .* got torch.float32"),
    ],
)
def test_bad_options(options, message, graph, model):
    explanations = explainers.load("saliency").explain(model, graph, 0)
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(model, graph, explanations, **options)


def test_explanation_whose_edges_were_sorted(graph, model):
    """By their ids all is there, but scores are read by their places."""
    (explanation,) = explainers.load("saliency").explain(model, graph, 0)
    order = explanation.edge_mask.argsort()
    assert len(order) > 1
    for name in ("e_id", "edge_mask"):
        explanation[name] = explanation[name][order]
    explanation.edge_index = explanation.edge_index[:, order]
    with pytest.raises(ValueError, match="another e_id than its computation graph"):
        metrics.evaluate(model, graph, [explanation])


def test_explanation_of_another_graph(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, 0)
    other = random_graph(1)
    with pytest.raises(ValueError, match="is of another model or graph"):
        metrics.evaluate(model, other, explanations)


@pytest.mark.parametrize("task_level", ["node", "graph"])
def test_the_truth_of_the_computation_graphs_edges(task_level, graph, model, monkeypatch):
    if task_level == "graph":
        graph, model = random_batch(0), random_graph_model(0)
    truth = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(0)) < 0.3
    seen = []

    def spy(case):
        seen.append(case.truth)
        return {}

    metric = metrics.Metric(function=spy, needs="scores", values=VALUES)
    monkeypatch.setattr(_evaluate, "load", lambda name: metric)
    explanations = explainers.load("saliency").explain(model, graph, [3, 0])
    metrics.evaluate(model, graph, explanations, metrics=["spy"], truth=truth)
    assert sorted(case.tolist() for case in seen) == sorted(
        truth[e.e_id].tolist() for e in explanations
    )
    metrics.evaluate(model, graph, explanations, metrics=["spy"])
    assert seen[2:] == [None, None]


def test_nothing_to_evaluate(graph, model):
    assert metrics.evaluate(model, graph, []) == []


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda case: {"other": 1.0},
            "the metric 'spy' gives 'other', which is not among .* declares: spied",
        ),
        (lambda case: {"spied": 5.0}, r"'spied' must be in \[0, 1\], as .* declares, got 5;"),
        (lambda case: {"spied": -np.inf}, r"'spied' must be in \[0, 1\], as .* got -inf;"),
        (
            lambda case: {"spied": np.zeros(3)},
            r"the metric 'spy' gives 'spied' as float64 \[3\]; must be a number, or \[2\] with",
        ),
        (lambda case: {"spied": "high"}, "the metric 'spy' gives 'spied' as <U4"),
        (lambda case: {"spied": 1 / 0}, "the metric 'spy': ZeroDivisionError: division by zero"),
        (lambda case: None, "the metric 'spy': TypeError: 'NoneType'"),
    ],
)
def test_a_metric_gives_only_what_it_declares(function, message, graph, model, monkeypatch):
    values = {"spied": dataclasses.replace(VALUES["spied"], bounds=(0, 1))}
    metric = metrics.Metric(function=function, needs="scores", values=values)
    monkeypatch.setattr(_evaluate, "load", lambda name: metric)
    explanations = explainers.load("saliency").explain(model, graph, 0)
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(model, graph, explanations, metrics=["spy"], at=["k=1", "k=2"])


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError(), RuntimeError("can't allocate memory")]
)
def test_memory_that_runs_out_in_a_metric_is_told_as_that(error, graph, model, monkeypatch):
    def function(case):
        raise error

    metric = metrics.Metric(function=function, needs="scores", values=VALUES)
    monkeypatch.setattr(_evaluate, "load", lambda name: metric)
    explanations = explainers.load("saliency").explain(model, graph, 0)
    with pytest.raises(type(error)) as raised:
        metrics.evaluate(model, graph, explanations, metrics=["spy"])
    assert raised.value is error


def test_signed_and_absolute_selection_by_hand(graph, model):
    explanations = explainers.load("integrated_gradients", n_steps=5).explain(model, graph, [0, 4])
    for one in explanations:
        one.edge_mask = -one.edge_mask  # the strongest ones speak against the class
        tops = (
            scores.argsort(descending=True)[:2] for scores in (one.edge_mask, one.edge_mask.abs())
        )
        assert len({frozenset(top.tolist()) for top in tops}) == 2
    options = {"at": ["k=2"], "metrics": ["fidelity"], "semantics": ["mask"]}
    both = pd.DataFrame(metrics.evaluate(model, graph, explanations, **options))
    both = both.set_index(["node", "metric", "selection"])["value"]
    for explanation in explanations:
        target, node = int(explanation.target), int(explanation.n_id[explanation.index])
        full = float(predict(model, graph)[node, target].exp())
        for selection, scores in (
            ("signed", explanation.edge_mask),
            ("absolute", explanation.edge_mask.abs()),
        ):
            kept = torch.ones(graph.num_edges, dtype=torch.float64)
            kept[explanation.e_id[scores.argsort(descending=True)[:2]]] = 0
            set_masks(model, kept, graph.edge_index, apply_sigmoid=False)
            left = float(predict(model, graph)[node, target].exp())
            clear_masks(model)
            assert both[node, "fidelity+_prob", selection] == pytest.approx(full - left)
    for selection in metrics.SELECTIONS:
        alone = metrics.evaluate(model, graph, explanations, selections=[selection], **options)
        assert {row["selection"] for row in alone} == {selection}
        for row in alone:
            assert row["value"] == both[row["node"], row["metric"], selection]


def test_scores_without_a_sign_give_the_same_rows_twice(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, [0, 4])
    rows = pd.DataFrame(metrics.evaluate(model, graph, explanations, at=BUDGETS))
    found = [
        rows[rows["selection"] == one].drop(columns="selection").reset_index(drop=True)
        for one in metrics.SELECTIONS
    ]
    pd.testing.assert_frame_equal(*found)
    declared = {entry["name"]: entry["selection"] for entry in metrics.describe()}
    for name, group in rows.groupby("metric"):
        assert set(group["selection"]) == ({*metrics.SELECTIONS} if declared[name] else {""})


def test_equal_scores_at_a_cut_are_taken_in_random_order(graph, model):
    (explanation,) = explainers.load("saliency").explain(model, graph, [0])
    edges = len(explanation.edge_mask)
    explanation.edge_mask = torch.zeros(edges, dtype=torch.float64)
    options = {"metrics": ["fidelity"], "semantics": ["mask"], "selections": ["signed"]}

    def value(scores):
        one = explanation.clone()
        one.edge_mask = scores
        rows = metrics.evaluate(model, graph, [one], at=["k=1"], **options)
        return next(row["value"] for row in rows if row["metric"] == "fidelity+_prob")

    each = [value(row) for row in torch.eye(edges, dtype=torch.float64)]
    assert np.std(each) > 0
    tied = value(explanation.edge_mask)
    # The mean over the first edges of 20 orders, and not what the edges' own order gives.
    order = np.random.default_rng([0, 0, 1]).random((20, edges)).argmin(axis=1)
    assert tied == pytest.approx(np.mean([each[edge] for edge in order]), abs=1e-12)
    assert abs(tied - np.mean(each)) < 4 * np.std(each) / np.sqrt(20)
    # The same edges under other numbers: the value does not hang on the order of the edges.
    assert tied != pytest.approx(each[0], abs=1e-12)


def test_where_no_cut_divides_equal_scores_the_model_is_asked_once(graph, model, monkeypatch):
    from explainers.engines.batched import BatchedProblem

    asked = []
    before = BatchedProblem.masked_outputs

    def spy(self, kept, nodes=None):
        asked.append(len(kept))
        return before(self, kept, nodes)

    monkeypatch.setattr(BatchedProblem, "masked_outputs", spy)
    (explanation,) = explainers.load("saliency").explain(model, graph, [0])
    edges = len(explanation.edge_mask)
    options = {"at": ["k=1", "k=2"], "engine": "batched", "semantics": ["mask"]}
    explanation.edge_mask = torch.arange(edges, 0, -1, dtype=torch.float64)
    metrics.evaluate(model, graph, [explanation], **options)
    assert sum(asked) == 4  # two budgets, without and with the edges alone
    asked.clear()
    explanation.edge_mask[1:] = 1.0  # the second cut divides them, the first does not
    metrics.evaluate(model, graph, [explanation], **options)
    assert 4 < sum(asked) <= 2 * (1 + min(20, edges - 1))


def test_a_value_that_depends_on_the_order_must_say_so(graph, model, monkeypatch):
    metric = metrics.Metric(
        function=lambda case: {"spied": float(case.order[0])}, needs="scores", values=VALUES
    )
    monkeypatch.setattr(_evaluate, "load", lambda name: metric)
    explanations = explainers.load("saliency").explain(model, graph, [0])
    explanations[0].edge_mask = torch.linspace(-2, 1, len(explanations[0].edge_mask))
    message = "'spy' gives a 'spied' that depends on the order of the edges, but declares no sel"
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(model, graph, explanations, metrics=["spy"])


def test_the_rows_come_in_the_order_of_the_explanations(graph, model):
    explanations = explainers.load("saliency").explain(model, graph, [4, 0, 11])
    explanations[0].edge_mask = torch.zeros_like(explanations[0].edge_mask)
    rows = metrics.evaluate(model, graph, explanations, labels=[0, 1, 2])
    assert list(dict.fromkeys(row["node"] for row in rows)) == [4, 0, 11]
    for one, label in zip(explanations, [0, 1, 2], strict=True):
        alone = metrics.evaluate(model, graph, [one], labels=[label])
        own = [row for row in rows if row["node"] == alone[0]["node"]]
        assert own == [{**row, "value": pytest.approx(row["value"], abs=1e-12)} for row in alone]
