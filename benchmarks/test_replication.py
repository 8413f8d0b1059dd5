"""Published numbers measured again, on the same data and as nearly as can be in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.explain import Explanation

import explainers
from benchmarks.harness.guards import check
from benchmarks.harness.options import Plan
from benchmarks.harness.plugin import plan_of
from benchmarks.harness.run import Run
from benchmarks.harness.variants import parametrize
from benchmarks.measures.over_nodes import characterization_of_means, pooled_auroc, pr_auc
from benchmarks.replication import protocols, published
from benchmarks.replication.published import BENCHMARK, DRAWN, MOTIF, PUBLISHED, TEN
from benchmarks.tasks import Task, brings_model
from benchmarks.tasks._label_propagation import draw_labelled
from explainers.metrics.characterization import characterization_score

# Epochs and learning rates of Holdijk et al., from the configurations in their repository.
OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("ba-shapes", "gnn_explainer"): {"epochs": 100, "lr": 0.005},
    ("tree-cycles", "gnn_explainer"): {"epochs": 100, "lr": 0.003},
    ("tree-grid", "gnn_explainer"): {"epochs": 100, "lr": 0.01},
    ("ba-shapes", "pg_explainer"): {"epochs": 10, "lr": 0.003},
}
# The weights of their edge masks' size, and how far their networks look.
SIZES = {"ba-shapes": 0.005, "tree-cycles": 0.05, "tree-grid": 0.01}
HOPS = 3
# The nodes that they, and PGExplainer's authors before them, explain.
NODES = {
    "ba-shapes": range(400, 700, 5),
    "tree-cycles": range(511, 871, 6),
    "tree-grid": range(511, 800),
}
CORA_NODES = 100  # of the test nodes
# GraphFramEx explains a hundred of all nodes; and what its code does takes long.
THEIR_CORA_NODES = 50
GRAPHFRAMEX: dict[str, Any] = {"hops": 2, "epochs": 1000, "lr": 0.01, "edge_size": 0.005}
N_STEPS = 50  # Captum's default
# Nerini et al.: how far their network looks, and their GNNExplainer.
REACH = 2
WHITE_BOX: dict[str, Any] = {"mask_type": "edge", "epochs": 10_000, "lr": 0.01, "edge_size": 1e-4}
WHITE_BOX_NODES = 100


def variants(methods: Sequence[str]) -> list[dict[str, Any]]:
    """A test for every published number and task that it is measured on."""
    return [
        {
            "method": row.method,
            "engine": None,
            "options": {"task": task, "level": row.level},
            "given": OPTIONS.get((base(task), row.method), {}),
        }
        for row in PUBLISHED
        if row.method in methods
        for task in dict.fromkeys(setup.task for setup in row.setups)
    ]


def base(task: str) -> str:
    """A task's name without its variant."""
    return task.partition(":")[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In the full profile, or where the command line names this file."""
    plan = plan_of(metafunc.config)
    named = any(Path(arg.partition("::")[0]).name == Path(__file__).name for arg in _args(metafunc))
    wanted = named or plan.profile == "full"
    parametrize(metafunc, plan, variants=variants(plan.methods) if wanted else ())


def _args(metafunc: pytest.Metafunc) -> Sequence[str]:
    return metafunc.config.invocation_params.args


def test_replication(
    run: Run,
    plan: Plan,
    load_task: Callable[[str, int], Task],
    model_seed: int,
    variant: dict[str, Any],
    benchmark: Any,
) -> None:
    """One number of one model, in all set-ups on a task; the time is that of our explanations."""
    level = variant["options"]["level"]
    if model_seed and brings_model(variant["options"]["task"]):
        pytest.skip("the task brings one model")
    task = load_task(variant["options"]["task"], model_seed)
    method = explainers.load(variant["method"], **variant["given"])
    nodes = explained(task, level)
    config = run.config(task, model_seed, method)
    with run.cell(BENCHMARK, config, task=task, nodes=nodes, part={"level": level}) as cell:
        # They train on what they explain.
        method.fit(task.model, task.data, nodes)
        targets = task.data.y[nodes] if level == TEN else None
        explanations = benchmark.pedantic(
            method.explain, args=(task.model, task.data, nodes, targets), rounds=1
        )
        check(explanations, task, nodes, targets)
        if level == DRAWN:
            metric, values = "pr_auc", pr_aucs(task, method.name, nodes, explanations)
        elif level != TEN:
            metric, values = "pooled_auroc", pooled(task, method.name, nodes, explanations)
        else:
            metric = "characterization_of_means"
            values = characterizations(task, method.name, nodes, explanations, model_seed)
        for semantics, value in values.items():
            said = {"level": level, "semantics": semantics, "selection": "absolute"}
            cell.add_value(metric, value, node=None, **said)


def explained(task: Task, level: str) -> list[int]:
    """The nodes whose explanations make up a number."""
    if level == DRAWN:
        rng = draw_labelled(len(task.data.y))[1]
        candidates = task.nodes.sort().values.tolist()
        return [int(node) for node in rng.choice(candidates, WHITE_BOX_NODES, replace=False)]
    if level == MOTIF:
        return list(NODES[base(task.name)])
    if task.name == published.GRAPHFRAMEX:
        return [int(node) for node in task.nodes[:THEIR_CORA_NODES]]
    in_test = task.nodes[task.data.test_mask.cpu()[task.nodes]]
    if level == TEN:
        return [int(node) for node in in_test[:CORA_NODES]]
    return [int(node) for node in task.data.test_mask.nonzero()]


def pooled(
    task: Task, method: str, nodes: Sequence[int], explanations: Sequence[Explanation]
) -> dict[str, float]:
    """The AUROC of our explanations; with their network also those of theirs, by semantics."""
    values = {published.COMPUTATION_GRAPHS: pooled_auroc(task, explanations)}
    if method != "gnn_explainer" or not task.name.endswith(published.REPLICATION):
        return values
    name = base(task.name)
    options = OPTIONS[name, method]
    theirs = protocols.learned_masks(
        task.model, task.data, nodes, hops=HOPS, edge_size=SIZES[name], **options
    )
    inside = []
    for their, our in zip(theirs, explanations, strict=True):
        own = torch.isin(their.e_id, our.e_id)
        inside.append(Explanation(e_id=their.e_id[own], edge_mask=their.edge_mask[own]))
    values[published.EDGES_ALONE] = pooled_auroc(task, inside)
    values[published.ALL_EDGES] = pooled_auroc(task, theirs)
    return values


def pr_aucs(
    task: Task, method: str, nodes: Sequence[int], explanations: Sequence[Explanation]
) -> dict[str, float]:
    """Our mean average precision, then step by step the PR-AUC of Nerini et al."""
    data, truth = task.data, task.ground_truth
    assert truth is not None
    rows = explainers.metrics.evaluate(
        task.model, data, explanations, metrics=["ground_truth"], at=["k=10"], truth=truth
    )
    values = {"": float(np.mean([r["value"] for r in rows if r["metric"] == "average_precision"]))}

    def mean(scores: Tensor, among: Sequence[Tensor]) -> float:
        """Of the edges ``among`` [e] of each node, by scores of all edges [R, E]."""
        found = [
            pr_auc(truth[node, edges].cpu().numpy(), row[edges].double().cpu().numpy())
            for node, row, edges in zip(nodes, scores, among, strict=True)
        ]
        return float(np.mean(found))

    scores, own = protocols.of_edges(data, explanations), [one.e_id for one in explanations]
    around = protocols.Neighbourhoods.of(data, nodes, REACH)
    within = [around.e_id[around.edge_of == row] for row in range(len(nodes))]
    values[published.TRAPEZOIDS] = mean(scores.abs(), own)
    values[published.SIGNED] = mean(scores, own)
    values[published.WITHIN] = mean(scores, within)
    if method == "gnn_explainer":
        theirs = explainers.load(method, **WHITE_BOX).explain(task.model, data, nodes)
        values[published.SETTINGS] = mean(protocols.of_edges(data, theirs), within)
    return values


def characterizations(
    task: Task,
    method: str,
    nodes: Sequence[int],
    explanations: Sequence[Explanation],
    seed: int,
) -> dict[str, float]:
    """The score as we take edges away; with their network also step by step as they do."""
    theirs = task.name == published.GRAPHFRAMEX
    # On their network nothing is normalised: both give the same.
    ours = (published.DELETE,) if theirs else (published.DELETE, published.MASK)
    values = {name: characterization_of_means(task, explanations, name) for name in ours}
    if not theirs:
        return values
    scores, features = their_scores(task, method, nodes, explanations, seed)
    steps: list[tuple[str, Any, bool]] = [
        (published.THEIR_SCORES, None, True),
        (published.FEATURES, features, True),
        (published.WEIGHTS, features, False),
    ]
    for semantics, chosen, weights in steps:
        if semantics == published.FEATURES and features is None:
            continue
        pair = protocols.fidelities(
            task.model,
            task.data,
            nodes,
            scores,
            chosen,
            hops=GRAPHFRAMEX["hops"],
            weights=weights,
        )
        values[semantics] = float(characterization_score(*map(np.asarray, pair)))
    return values


def their_scores(
    task: Task,
    method: str,
    nodes: Sequence[int],
    explanations: Sequence[Explanation],
    seed: int,
) -> tuple[Tensor, list[Tensor] | None]:
    """GraphFramEx's scores of all edges [R, E], and of the features if it has any."""
    model, data = task.model, task.data
    targets = data.y[nodes]
    if method == "random":
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.rand(len(nodes), data.num_edges + data.num_features, generator=generator)
        scores, features = drawn.to(data.x).split([data.num_edges, data.num_features], dim=1)
        return scores, list(features)
    if method == "gnn_explainer":
        learned = protocols.learned_masks(
            model, data, nodes, targets, features=True, seed=seed, **GRAPHFRAMEX
        )
        return protocols.of_edges(data, learned), [one.feature_mask for one in learned]
    if method in ("saliency", "integrated_gradients"):
        steps = N_STEPS if method == "integrated_gradients" else None
        found = protocols.FeatureScores(n_steps=steps).explain(model, data, nodes, targets)
        return protocols.by_ends(data, found), [one.node_mask for one in found]
    return protocols.of_edges(data, explanations), None
