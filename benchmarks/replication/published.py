"""Results that others have published, and the set-ups in which they are measured again.

Names of tasks, methods and values are this benchmark's; nothing of the project is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The benchmark's name in published cells.
BENCHMARK = "calibration"
MOTIF, TEST, TEN, DRAWN = "motif nodes", "test nodes", "k=10", "their nodes"
# The tasks with other people's networks.
REPLICATION, GRAPHFRAMEX = ":replication", "cora:graphframex"
LABEL_PROPAGATION = "label-propagation-cora"
# What is pooled, and how edges are taken away: the column `semantics` of the rows.
COMPUTATION_GRAPHS, EDGES_ALONE, ALL_EDGES = "", "edge masks alone", "all edges within 3 hops"
DELETE, MASK, THEIR_SCORES = "delete", "mask", "their scores"
FEATURES, WEIGHTS = "features, too", "weights forgotten"
TRAPEZOIDS, SIGNED = "trapezoids", "signed scores"
WITHIN, SETTINGS = "all edges within 2 hops", "their settings"
OURS, KEPT, NETWORK = "ours", "weights kept", "their network"


@dataclass(frozen=True)
class Setup:
    """One way to measure a published number.

    Attributes:
        name: In the table; what was changed, besides all that the set-ups before it changed.
        task: This benchmark's task on the same data, with our network or theirs.
        semantics: The rows' ``semantics``.
    """

    name: str
    task: str
    semantics: str


@dataclass(frozen=True)
class Source:
    """Where numbers were published, and how their set-up differs from ours.

    Attributes:
        short: For the table.
        name: Authors and number.
        url: Where it can be read.
        differs: What differs, in a few sentences that name the set-ups.
    """

    short: str
    name: str
    url: str
    differs: str


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        data: What it is of.
        method: The method, by its name here.
        metric: The value's name here.
        level: What is pooled (``MOTIF``, ``TEST``) or selected (``TEN``).
        value: The number.
        source: Where from.
        setups: How it is measured here, from ours to theirs.
    """

    data: str
    method: str
    metric: str
    level: str
    value: float
    source: Source
    setups: tuple[Setup, ...]


_RE = "https://github.com/LarsHoldijk/RE-ParameterizedExplainerForGraphNeuralNetworks"
_MODEL = (
    "'their network' concatenates three GCN layers of 20, each scaled to unit length, before a "
    "linear layer, and is trained as theirs is. They explain one trained network, we one for each "
    "model seed: the interval tells how far that alone moves the number. "
)
REPLICATED = Source(
    "[Re] PGExplainer",
    "Holdijk et al., [Re] Parameterized Explainer, ML Reproducibility Challenge 2020",
    "https://openreview.net/forum?id=8JHrucviUf",
    f"{_MODEL}'{EDGES_ALONE}': no mask of features is learned beside that of edges, and the size "
    f"of the mask has their weight. '{ALL_EDGES}': pooled are all edges among the nodes within 3 "
    "hops, not only those that the prediction depends on. They average ten seeds of the explainer.",
)
NOTEBOOK = Source(
    "[Re] PGExplainer, notebook",
    "Holdijk et al., experiment_replication.ipynb, output of the seeds 0 and 1",
    f"{_RE}/blob/master/experiment_replication.ipynb",
    f"{_MODEL}Not changed: theirs sees the concatenated embeddings and takes one step an epoch, "
    "ours the last layer's output and a step for every node; they pool all edges among the nodes "
    "within 3 hops.",
)
LEADERBOARD = Source(
    "GraphFramEx",
    "Amara et al., GraphFramEx, leaderboard for Cora (phenomenon, hard masks, 10 edges)",
    "https://github.com/GraphFramEx/graphframex.github.io/blob/"
    "500d8c5622c7ac3959668a37286c76242303673c/root/leaderboard/nc_real_topk_5expe.csv",
    f"Read from their code of June 2022. '{KEPT}': when edges are taken away, those that stay keep "
    "the weights of the whole graph; in ours GCNConv normalises the reduced graph anew. 'their "
    "network': every node has a self loop among the edges, which can be selected and taken away, "
    "rows of the adjacency matrix sum to 1, features are 0 and 1; our loops are the layers' own "
    "and stay. Explained are any nodes, not only test nodes. "
    f"'{THEIR_SCORES}': saliency and Integrated Gradients score features alone, signed, and an "
    "edge by the sums over both ends; GNNExplainer learns one mask of features for all nodes, on a "
    "graph whose edges all weigh 1; random edges are from the whole graph; the ten highest scores "
    "count, not the ten largest; fidelities are means of "
    f"absolute differences. '{FEATURES}': the scores of features are taken away, too (for "
    "saliency and Integrated Gradients the code puts the scores themselves, and one minus them, "
    f"in the features' place; PGExplainer scores none). '{WEIGHTS}': the model is called on the "
    "reduced graphs without the edges' weights, so that all are 1. With this last row it is what "
    "they did, except for PGExplainer, of which their code has another one.",
)
WHITE_BOX = Source(
    "Nerini et al.",
    "Nerini et al., A True-to-the-model Benchmark for Edge-level Attributions of GNN Explainers, "
    "ECML PKDD 2025, table of the real datasets (Cora, no post-processing)",
    "https://github.com/FrappaN/EdgeWhiteBoxBench/blob/"
    "88f9f439bbc2fbff1816dc37ca529408247f2f15/src/results/tables/real_datasets_pr_auc.tex",
    "Their network, the nodes with a given label and the 100 explained nodes are the same from the "
    "start, drawn as their code draws them. Ours is the average precision of the absolute scores. "
    f"'{TRAPEZOIDS}': the area under the curve is by trapezoids, and a node counts (as 1) if all "
    f"of its edges are right. '{SIGNED}': the largest scores count, not the largest absolute ones; "
    "edges that speak against the class are ranked below those that say nothing. "
    f"'{WITHIN}': ranked are all edges among the nodes within 2 hops, those that the prediction "
    f"cannot depend on with the score 0. '{SETTINGS}': GNNExplainer masks edges alone, for 10,000 "
    "epochs, with 0.0001 as the weight of the mask's size; its initial masks are others. Not "
    "repeated: their LRP, which no method here is, and their post-processing.",
)

SOURCES = (REPLICATED, NOTEBOOK, WHITE_BOX, LEADERBOARD)


def _on(data: str, steps: Sequence[str]) -> tuple[Setup, ...]:
    """The set-ups of a replicated number."""
    return (
        Setup(OURS, f"{data}:published", COMPUTATION_GRAPHS),
        Setup(NETWORK, f"{data}{REPLICATION}", COMPUTATION_GRAPHS),
        *(Setup(step, f"{data}{REPLICATION}", step) for step in steps),
    )


def _on_cora(steps: Sequence[str]) -> tuple[Setup, ...]:
    """The set-ups of a number of the leaderboard."""
    return (
        Setup(OURS, "cora", DELETE),
        Setup(KEPT, "cora", MASK),
        Setup(NETWORK, GRAPHFRAMEX, DELETE),
        *(Setup(step, GRAPHFRAMEX, step) for step in steps),
    )


PUBLISHED = (
    *(
        Published(
            data,
            "gnn_explainer",
            "pooled_auroc",
            level,
            value,
            REPLICATED,
            _on(data, (EDGES_ALONE, ALL_EDGES)),
        )
        for data, values in {
            "ba-shapes": (0.742, 0.508),
            "tree-cycles": (0.540, 0.482),
            "tree-grid": (0.714, 0.608),
        }.items()
        for level, value in zip((MOTIF, TEST), values, strict=True)
    ),
    Published(
        "ba-shapes", "pg_explainer", "pooled_auroc", MOTIF, 0.999, NOTEBOOK, _on("ba-shapes", ())
    ),
    *(
        Published(
            LABEL_PROPAGATION,
            method,
            "pr_auc",
            DRAWN,
            value,
            WHITE_BOX,
            tuple(
                Setup(name, LABEL_PROPAGATION, "" if name == OURS else name)
                for name in (OURS, TRAPEZOIDS, SIGNED, WITHIN, *steps)
            ),
        )
        for method, value, steps in (
            ("integrated_gradients", 0.995, ()),
            ("deconvolution", 0.913, ()),
            ("gnn_explainer", 0.991, (SETTINGS,)),
        )
    ),
    *(
        Published(
            "cora",
            method,
            "characterization_of_means",
            TEN,
            value,
            LEADERBOARD,
            _on_cora((THEIR_SCORES, *steps, WEIGHTS)),
        )
        for method, value, steps in (
            ("saliency", 0.697, (FEATURES,)),
            ("integrated_gradients", 0.554, (FEATURES,)),
            ("gnn_explainer", 0.498, (FEATURES,)),
            ("pg_explainer", 0.182, ()),
            ("random", 0.152, (FEATURES,)),
        )
    ),
)
