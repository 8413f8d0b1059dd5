"""How much the results hang on what is explained: raw scores, log-probabilities, probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import (
    Block,
    Entry,
    Heading,
    Table,
    by_model_and_node,
    estimate,
    measured,
)
from benchmarks.report.stats import crossed

_FORMS = {"raw": "raw score", "log_probs": "log-probability", "probs": "probability"}
_METRICS = ("fidelity+_prob", "fidelity-_prob", "auroc", "average_precision")


def explained_output(section: Section) -> Iterator[Block]:
    """A table of methods by explained outputs, for each metric that was measured."""
    rows, _ = section.of("explained_output")
    if rows.empty:
        return
    form = rows["options"].map(lambda text: json.loads(text).get("explained_output"))
    rows = rows.assign(form=form)
    yield Heading("Explained output", f"explained-output-{section.slug}", 3)
    for name in (name for name in _METRICS if (rows["metric"] == name).any()):
        own = rows[rows["metric"] == name]
        headline = own[own["selection"] == section.metrics[name].selection]
        own = headline if len(headline) else own
        level = str(own["level"].iloc[0])
        table = []
        for method, of_method in own.groupby("method", sort=True):
            entries = [
                measured(
                    partial(estimate, bounded=True),
                    crossed.mean(
                        by_model_and_node(of_method[of_method["form"] == one]),
                        section.metrics[name].limits,
                    ),
                )
                if (of_method["form"] == one).any()
                else Entry("")
                for one in _FORMS
            ]
            table.append([Entry(str(method)), *entries])
        budget = f", {level} of the edges selected".replace("f=", "") if level else ""
        yield Table(
            f"{section.title}: {section.metrics[name].heading} by what is explained of the same "
            f"network{budget}. Probabilities decide in all columns; only the scores differ.",
            ("method", *_FORMS.values()),
            table,
        )
