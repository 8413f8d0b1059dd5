"""How much the results hang on what is explained: raw scores, log-probabilities, probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pandas as pd

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
from benchmarks.report.sections.f_fidelity import LEAST
from benchmarks.report.stats import crossed, equal, estimates
from benchmarks.report.stats.ranks import correlation

_FORMS = {"raw": "raw score", "log_probs": "log-probability", "probs": "probability"}
_METRICS = ("fidelity+_prob", "fidelity-_prob", "auroc", "average_precision")


def explained_output(section: Section) -> Iterator[Block]:
    """A table of methods by explained outputs, for each metric that was measured."""
    rows = _rows(section)
    if rows.empty:
        return
    yield Heading("Explained output", f"explained-output-{section.slug}", 3)
    for name in (name for name in _METRICS if (rows["metric"] == name).any()):
        own = _headline(section, rows, name)
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


def orders(section: Section, name: str = "fidelity+_prob") -> dict[str, float]:
    """How alike the methods' orders are: with raw scores or log-probabilities, and probabilities.

    Spearman's rank correlation of the methods' means by a metric, by what is explained in place of
    probabilities. Methods with equal values count once; empty with fewer than three.
    """
    rows = _headline(section, _rows(section), name)
    if rows.empty:
        return {}
    table = rows.pivot_table(
        index=["model_seed", "node"], columns=["method", "form"], values="value"
    )
    # By method, a column of the values with all forms: only nodes that have all of them count.
    table = pd.DataFrame(estimates.paired(table).stack("form", future_stack=True))
    table = table[[group[0] for group in equal.groups(table)]].dropna(axis="columns")
    means = table.groupby("form").mean()
    if table.shape[1] < LEAST or "probs" not in means.index:
        return {}
    given = means.loc["probs"].to_numpy()
    others = [form for form in _FORMS if form in means.index and form != "probs"]
    return {_FORMS[form]: correlation(means.loc[form].to_numpy(), given) for form in others}


def _rows(section: Section) -> pd.DataFrame:
    """The benchmark's, with the column ``form``: what was explained."""
    rows, _ = section.of("explained_output")
    form = rows["options"].map(lambda text: json.loads(text).get("explained_output"))
    return rows.assign(form=form)


def _headline(section: Section, rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """A metric's, by the selection that its headline has."""
    own = rows[rows["metric"] == name]
    headline = own[own["selection"] == section.metrics[name].selection]
    return headline if len(headline) else own
