"""Whether the scores of a task depend on what the model has learned."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from benchmarks.report.data.randomisation import (
    EQUIVALENT,
    OTHER_MODELS,
    SAME_MODEL,
    TRAINED,
    TRUTH,
    UNTRAINED,
    caution,
    like_untrained,
    stages,
)
from benchmarks.report.data.section import Section, units
from benchmarks.report.render.blocks import (
    Block,
    Entry,
    Heading,
    Table,
    Text,
    by_method,
    estimate,
    measured,
)
from benchmarks.report.stats import crossed

_DETAILS = (
    ("spearman_signed", "cascading", "rank correlation of the scores with their signs"),
    ("top_overlap", "cascading", "overlap of the 20 % of edges with the highest absolute scores"),
    ("top_overlap_signed", "cascading", "overlap of the 20 % of edges with the highest scores"),
    ("spearman", "independent", "rank correlation of the absolute scores"),
    ("spearman_signed", "independent", "rank correlation of the scores with their signs"),
)
_NEW = {
    "cascading": "new weights from the last layer down to the one that the column names",
    "independent": "new weights in one layer alone",
}


def randomisation(section: Section) -> Iterator[Block]:
    """How alike the scores are with new weights, and how well these find the ground truth."""
    rows, _ = section.of("randomisation")
    if rows.empty:
        return
    yield Heading("Parameter randomisation", f"randomisation-{section.slug}", 3)
    yield Text(
        "The trained model's weights are drawn anew as before a training, and the same classes are "
        "explained again. A method that explains what the model has learned gives other scores "
        "then: its correlation falls towards 0 (an overlap towards 0.2), and below that between "
        "two models trained with different seeds. A correlation that stays near 1 comes from the "
        "graph and the features, whatever the model does; methods that do not look at the model "
        "have 1 by construction, unless they are random. A low value alone is no praise: random "
        "scores have it as well, and so have methods whose own random numbers decide, which are "
        "drawn anew for every model (compare with the same model and another draw)."
    )
    yield from _similarity(
        section, rows, "spearman", "cascading", "rank correlation of the absolute scores"
    )
    if names := like_untrained(section):
        yield Text(
            "No less alike with untrained weights than between trained models (mean rank "
            f"correlation at most {EQUIVALENT} lower): {', '.join(names)}."
        )
    yield from _truth(section, rows)
    for name, mode, what in _DETAILS:
        yield from _similarity(section, rows, name, mode, what, folded=True)


def _similarity(
    section: Section, rows: pd.DataFrame, name: str, mode: str, what: str, *, folded: bool = False
) -> Iterator[Table]:
    """A table of methods by the layers with new weights; nothing without values."""
    known = rows[rows["metric"] == name]
    columns = {stage.name: stage.heading for stage in stages(known, mode)}
    if not columns:
        return
    columns |= {name: name for name in (OTHER_MODELS, SAME_MODEL) if (known["other"] == name).any()}
    yield Table(
        f"{section.title}: parameter randomisation, {mode}: {what} on the trained model and with "
        f"{_NEW[mode]}; means over the {units([section])} and models.",
        ("method", *columns.values()),
        # The table's columns are the stages: they take the metrics' place.
        by_method(known.assign(metric=known["other"]), list(columns), _entry),
        folded,
    )


def _truth(section: Section, rows: pd.DataFrame) -> Iterator[Table]:
    known = rows[rows["metric"].isin(TRUTH)]
    columns = {
        f"{name}, {weights}": f"{section.metrics[name].heading}, {weights}"
        for name in TRUTH
        for weights in (TRAINED, UNTRAINED)
        if ((known["metric"] == name) & (known["other"] == weights)).any()
    }
    if not columns:
        return
    caption = (
        f"{section.title}: the ground truth, found with trained and with untrained weights in all "
        f"layers. {caution(section)}"
    )
    keys = known["metric"] + ", " + known["other"]
    yield Table(
        caption.strip(),
        ("method", *columns.values()),
        by_method(known.assign(metric=keys), list(columns), _entry),
    )


def _entry(_: str, values: pd.Series) -> Entry:
    return measured(partial(estimate, bounded=True), crossed.mean(values, (-1, 1)))
