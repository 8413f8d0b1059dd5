"""Whether the methods satisfy the axioms of attribution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pandas as pd

from benchmarks.report.data.metrics import Metrics
from benchmarks.report.data.section import Section, units
from benchmarks.report.render.blocks import (
    Block,
    Entry,
    Heading,
    Table,
    by_method,
    estimate,
    measured,
    number,
)
from benchmarks.report.stats import crossed

VIOLATIONS = "sensitivity_violations"
INVARIANCE = ("invariance_rescaled", "invariance_widened", "invariance_split")


def axioms(section: Section) -> Iterator[Block]:
    """Sensitivity and implementation invariance of all methods; completeness by quadrature."""
    rows, _ = section.of("axioms")
    completeness, _ = section.of("completeness")
    if rows.empty and completeness.empty:
        return
    yield Heading("Axioms", f"axioms-{section.slug}", 3)
    if len(rows):
        names = [name for name in (VIOLATIONS, *INVARIANCE) if (rows["metric"] == name).any()]
        yield Table(
            f"{section.title}: axioms of Sundararajan et al. (2017). Sensitivity: of the edges "
            "whose removal changes the output, the share with a score of zero; mean over the "
            f"{units([section])}. Implementation invariance: relative change of the edge scores "
            "when the network "
            "is replaced by an equivalent one, which computes the same function; maximum over the "
            f"{units([section])}. Values of about 1e-6 are rounding. Methods that ignore the model "
            "are trivially "
            "invariant.",
            ("method", *(section.metrics[name].heading for name in names)),
            by_method(rows, names, partial(_axiom, section.metrics)),
        )
    if len(completeness):
        yield _quadratures(section, completeness)


def _axiom(metrics: Metrics, name: str, values: pd.Series) -> Entry:
    if name == VIOLATIONS:
        return measured(partial(estimate, bounded=True), crossed.mean(values, metrics[name].limits))
    return measured(number, float(values.max()))


def _quadratures(section: Section, rows: pd.DataFrame) -> Table:
    options = rows["options"].map(json.loads)
    rows = rows.assign(
        quadrature=options.map(lambda one: one.get("quadrature")),
        steps=options.map(lambda one: one.get("n_steps")),
    )
    medians = rows.groupby(["quadrature", "steps"])["value"].median().unstack("steps")
    return Table(
        f"{section.title}: completeness error of Integrated Gradients, |sum of the scores - "
        "(F(x) - F(0))| in units of the output, by quadrature and number of steps; medians over "
        f"the {units([section])}.",
        ("quadrature", *(f"{steps} steps ↓" for steps in medians.columns)),
        [
            [Entry(str(name)), *(measured(number, value) for value in line)]
            for name, line in zip(medians.index, medians.to_numpy(), strict=True)
        ],
    )
