"""Published numbers, and ours beside them: whether this benchmark measures what others measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.report import statistics
from benchmarks.report.blocks import Block, Entry, Heading, Table, Text, estimate, number
from benchmarks.report.metrics import metric
from benchmarks.report.sections import Section
from benchmarks.report.statistics import Estimate

BENCHMARK = "calibration"
MOTIF, TEST, TEN = "motif nodes", "test nodes", "k=10"


@dataclass(frozen=True)
class Source:
    """Where numbers were published, and how their set-up differs from ours.

    Attributes:
        name: Authors and number.
        url: Where it can be read.
        differs: What differs, as far as it is known, in one or two sentences.
    """

    name: str
    url: str
    differs: str


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        task: This benchmark's task on the same data.
        method: The method, by its name here.
        metric: The metric, by its name here.
        level: What is pooled (``MOTIF``, ``TEST``) or selected (``TEN``).
        value: The number.
        source: Where from.
    """

    task: str
    method: str
    metric: str
    level: str
    value: float
    source: Source


_RE = "https://github.com/LarsHoldijk/RE-ParameterizedExplainerForGraphNeuralNetworks"
_MODEL = (
    "Their model concatenates three normalised GCN layers of 20 before a linear layer; ours are "
    "those of the task. They pool all edges among the nodes within 3 hops; we, those that the "
    "prediction depends on. They average ten seeds of the explainer, we models. "
)
REPLICATION = Source(
    "Holdijk et al., [Re] Parameterized Explainer, ML Reproducibility Challenge 2020",
    "https://openreview.net/forum?id=8JHrucviUf",
    f"{_MODEL}Theirs learns edge masks alone, ours feature masks as well.",
)
NOTEBOOK = Source(
    "Holdijk et al., experiment_replication.ipynb, output of the seeds 0 and 1",
    f"{_RE}/blob/master/experiment_replication.ipynb",
    f"{_MODEL}Theirs sees the concatenated embeddings and takes one step an epoch, ours the last "
    "layer's output and a step for every node.",
)
LEADERBOARD = Source(
    "Amara et al., GraphFramEx, leaderboard for Cora (phenomenon, hard masks, 10 edges)",
    "https://github.com/GraphFramEx/graphframex.github.io/blob/master/leaderboard/results/topk_10/"
    "cora/cora_topk_10_res.csv",
    "In their code (dataset/gen_real.py, gnn/model.py) every node has a self loop among the edges, "
    "which can be selected and taken away; ours are the layers' own and stay, so that a prediction "
    "never loses the node's own features. Their layer multiplies with the adjacency matrix, whose "
    "rows are normalised in the whole graph and not in the reduced ones; GCNConv normalises both. "
    "Which nodes they explain is not stated.",
)

PUBLISHED = (
    *(
        Published(f"{task}:published", "gnn_explainer", "pooled_auroc", level, value, REPLICATION)
        for task, values in {
            "ba-shapes": (0.742, 0.508),
            "tree-cycles": (0.540, 0.482),
            "tree-grid": (0.714, 0.608),
        }.items()
        for level, value in zip((MOTIF, TEST), values, strict=True)
    ),
    Published("ba-shapes:published", "pg_explainer", "pooled_auroc", MOTIF, 0.999, NOTEBOOK),
    *(
        Published("cora", method, "characterization_of_means", TEN, value, LEADERBOARD)
        for method, value in {
            "saliency": 0.697,
            "integrated_gradients": 0.554,
            "gnn_explainer": 0.498,
            "pg_explainer": 0.182,
        }.items()
    ),
)


def calibration(sections: Sequence[Section]) -> Iterator[Block]:
    """Every published number that was measured again, whatever came out."""
    rows = []
    for published in PUBLISHED:
        ours = measured(sections, published)
        if ours is None:
            continue
        names = metric(published.metric).title, published.level
        gap = ours.value - published.value
        rows.append(
            [
                Entry(f"{published.method}, {published.task}"),
                Entry(", ".join(names)),
                Entry(estimate(ours, bounded=True), value=ours.value),
                Entry(
                    number(published.value, bounded=True),
                    url=published.source.url,
                    value=published.value,
                ),
                Entry(f"{gap:+.3f}", value=gap),
                Entry(str(ours.n), value=ours.n),
                Entry(published.source.name, url=published.source.url),
            ]
        )
    if not rows:
        return
    yield Heading("Calibration", BENCHMARK)
    yield Table(
        "Numbers that others have published, measured again on the same data. Ours is the mean "
        "over the models, in brackets the 95 % interval over them where there are several.",
        ("what", "metric", "ours", "published", "difference", "models", "source"),
        rows,
    )
    used = {entry[-1].text for entry in rows}
    for source in (REPLICATION, NOTEBOOK, LEADERBOARD):
        if source.name in used:
            yield Text(f"What differs from {source.name}: {source.differs}")


def measured(sections: Sequence[Section], published: Published) -> Estimate | None:
    """Our number, over the models; None if there is none."""
    values: list[float] = []
    for section in sections:
        rows, _ = section.of(BENCHMARK)
        same = rows["method"] == published.method
        same &= rows["metric"] == published.metric
        same &= rows["level"] == published.level
        if section.task == published.task:
            values += rows[same].groupby("model_seed")["value"].mean().tolist()
    return statistics.mean(values) if values else None
