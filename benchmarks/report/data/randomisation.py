"""Scores on models with new weights beside those on trained ones, and what that says of a task."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmarks.report.data.section import RANDOM, Section
from benchmarks.report.stats import estimates

# Metrics in [0, 1] that differ by less are equal for practical purposes.
EQUIVALENT = 0.01
TRUTH = ("auroc", "average_precision")
TRAINED, UNTRAINED = "trained", "untrained"  # of ground truth: the column `other`
OTHER_MODELS = "trained with another seed"
SAME_MODEL = "same model, other draw"  # of the method's own random numbers
# What finds a ground truth without training, see TruthCheck; the strongest evidence first.
_BY_BEST = "with random weights in the model this ground truth is found as well"
_BY_GRAPH = "the graph alone gives this ground truth away"
_BY_HALF = (
    "with random weights in the model half of the methods find this ground truth as well, though "
    "not the best"
)
_EVIDENCE = (_BY_BEST, _BY_GRAPH, _BY_HALF)


@dataclass(frozen=True)
class Stage:
    """Which layers have new weights, as the column ``other`` says: ``cascading, 2 of 3: convs.1``.

    Attributes:
        name: The text.
        mode: ``cascading`` (this layer and all above it) or ``independent`` (this layer alone).
        depth: The layer's place, counted from the output.
        of: How many layers there are.
        layer: The layer's name; empty if the model is but one.
    """

    name: str
    mode: str
    depth: int
    of: int
    layer: str

    @property
    def heading(self) -> str:
        """For a table's column: what has new weights."""
        layer = _plain(self.layer)
        if self.mode == "cascading" and self.depth == self.of:
            return f"all layers (to {layer})" if layer else "all layers"
        plus = "+ " if self.mode == "cascading" and self.depth > 1 else ""
        return f"{plus}{layer}{' (last layer)' if self.depth == 1 else ''}"


@dataclass(frozen=True)
class TruthCheck:
    """How well a ground truth is found without training, by one metric; means over nodes x models.

    Attributes:
        metric: Its title.
        trained: Of the best method, on the trained models.
        untrained: Of the best method, on models with new weights in all layers.
        change: Median over the methods of what new weights add.
        baseline: The best baseline that sees the graph alone, such as ``degree``; empty if none was
            measured.
        structure: Its value; NaN if none was measured.
    """

    metric: str
    trained: float
    untrained: float
    change: float
    baseline: str
    structure: float

    @property
    def found(self) -> bool:
        """Whether the ground truth is found as well without training.

        It is if new weights cost the best method, or the methods' median, no more than 0.01, or if
        a baseline that sees the graph alone is no more than 0.01 below the best trained method.
        """
        return bool(self.who)

    @property
    def who(self) -> str:
        """By what it is found, the strongest evidence first; empty if by nothing."""
        least = self.trained - EQUIVALENT
        if self.untrained >= least:
            return _BY_BEST
        if self.baseline and self.structure >= least:
            return _BY_GRAPH
        return _BY_HALF if self.change >= -EQUIVALENT else ""

    @property
    def text(self) -> str:
        """The values in words."""
        text = f"{self.metric} of the best method {self.untrained:.3f} with random weights, "
        text += f"{self.trained:.3f} with the model's own; median change over the methods "
        text += f"{self.change:+.3f}"
        return text + (f"; {self.baseline} {self.structure:.3f}" if self.baseline else "")


def stages(rows: pd.DataFrame, mode: str) -> list[Stage]:
    """The stages of one mode among a section's rows, from the last layer."""
    found = []
    for name in rows["other"].unique():
        parts = re.fullmatch(r"(cascading|independent), (\d+) of (\d+): (.*)", str(name))
        if parts is not None and parts[1] == mode:
            found.append(Stage(str(name), mode, int(parts[2]), int(parts[3]), parts[4]))
    return sorted(found, key=lambda stage: stage.depth)


@lru_cache(maxsize=64)
def truth_checks(section: Section) -> tuple[TruthCheck, ...]:
    """For each metric of ground truth, whether it is as high without training; empty if unknown."""
    rows, _ = section.of("randomisation")
    checks = []
    for name in TRUTH:
        known = rows[rows["metric"] == name]
        table = known.pivot_table(
            index=["model_seed", "node"], columns=["label", "other"], values="value"
        )
        if table.empty:
            continue
        means = (
            estimates.paired(table).mean().unstack("other").reindex(columns=[TRAINED, UNTRAINED])
        )
        methods = means.loc[[label for label in means.index if _method(label) != RANDOM]]
        methods = methods.drop([one for one in methods.index if _method(one) in section.baselines])
        methods = methods.dropna()
        if methods.empty:
            continue
        structure = means.loc[
            [one for one in means.index if _method(one) in section.baselines - {RANDOM}], TRAINED
        ].dropna()
        checks.append(
            TruthCheck(
                metric=section.metrics[name].title,
                trained=float(methods[TRAINED].max()),
                untrained=float(methods[UNTRAINED].max()),
                change=float((methods[UNTRAINED] - methods[TRAINED]).median()),
                baseline=str(structure.idxmax()) if len(structure) else "",
                structure=float(structure.max()) if len(structure) else np.nan,
            )
        )
    return tuple(checks)


def caution(section: Section) -> str:
    """What the caption of a table of ground truth has to say; empty if there is nothing.

    Where parameter randomisation was measured, that decides (:attr:`TruthCheck.found`, by AUROC or
    average precision); else what the task declares of itself.
    """
    checks = truth_checks(section)
    found = [check for check in checks if check.found]
    if found:
        values = "; ".join(check.text for check in found)
        who = min((check.who for check in found), key=_EVIDENCE.index)
        return (
            f"Caution: {who} ({values}). High values do not show that a method explains what the "
            "model has learned."
        )
    if section.motif and not checks:
        return (
            "Caution: in such motif tasks the structure of the graph gives the ground truth away; "
            "the nodes' degrees, or a model that was never trained, may find it as well. High "
            "values do not show that a method explains what the model has learned."
        )
    return ""


def gaps(section: Section, other: str = OTHER_MODELS) -> dict[str, float]:
    """How much less alike a method's scores are with new weights than those of ``other``.

    By Spearman's correlation of absolute scores: that with new weights in all layers less that of
    ``other`` (between models trained with other seeds), means over the nodes and models that have
    both. Baselines that do not look at the model are left out, and what has no ``other``.
    """
    rows, _ = section.of("randomisation")
    last = stages(rows, "cascading")[-1:]
    known = rows[(rows["metric"] == "spearman") & ~rows["method"].isin(section.baselines)]
    found = {}
    for label, group in known.groupby("label"):
        table = group.pivot_table(index=["model_seed", "node"], columns="other", values="value")
        if not last or not {last[0].name, other} <= set(table.columns):
            continue
        gap = (table[last[0].name] - table[other]).dropna()
        if len(gap):
            found[str(label)] = float(gap.mean())
    return found


def like_untrained(section: Section) -> list[str]:
    """The methods whose scores are no less alike with new weights than between trained models.

    Their gap is no more than 0.01, see :func:`gaps`.
    """
    return [label for label, gap in gaps(section).items() if gap >= -EQUIVALENT]


def as_random(section: Section) -> list[str]:
    """The methods whose scores another draw of their own random numbers changes as much.

    As much as new weights do: on the same model they are no more than 0.01 more alike.
    """
    return [label for label, gap in gaps(section, SAME_MODEL).items() if gap >= -EQUIVALENT]


def _plain(layer: str) -> str:
    """A layer's name; that of an edge type as ``convs.venue→publishes→paper``.

    PyG's ``HeteroConv`` keeps such a layer as ``convs.<venue___publishes___paper>``, and a dot in a
    type as ``#``.
    """
    return re.sub(
        "<([^<>]+___[^<>]+)>",
        lambda found: found[1].replace("___", "→").replace("#", "."),
        layer,
    )


def _method(label: object) -> str:
    """The method of a label, which may name options in brackets."""
    return str(label).partition(" (")[0]
