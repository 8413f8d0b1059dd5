"""How far scores depend on the weights, on chance and on small changes, of all tasks at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.report.data.randomisation import OTHER_MODELS, stages
from benchmarks.report.data.section import Section

# The columns of the values, as the sections' tables have them.
NEW_WEIGHTS, TRAINED = "all_weights_new", "trained_with_another_seed"
SEEDS, MOVED = "explainers_seeds", "max_sensitivity"
COLUMNS = (NEW_WEIGHTS, TRAINED, SEEDS, MOVED)


def by_task(sections: Sequence[Section]) -> pd.DataFrame:
    """A row for each task and method, means over nodes and models; NaN where not measured.

    Columns: task, method, whether it is a ``baseline`` that does not look at the model, and
    ``COLUMNS``: Spearman's rank correlation of the absolute scores with those with new weights in
    all layers, and with those of other trained models; Kendall's tau-b between seeds of the method;
    max-sensitivity.
    """
    found = []
    for section in sections:
        drawn, _ = section.of("randomisation")
        alike = drawn[drawn["metric"] == "spearman"]
        stable, _ = section.of("stability")
        last = [stage.name for stage in stages(alike, "cascading")][-1:]
        table = pd.DataFrame(
            {
                NEW_WEIGHTS: _means(alike[alike["other"].isin(last)]),
                TRAINED: _means(alike[alike["other"] == OTHER_MODELS]),
                SEEDS: _means(stable[stable["metric"] == "kendall_tau_seeds"]),
                MOVED: _means(stable[stable["metric"] == "max_sensitivity"]),
            }
        )
        aside = [str(label).partition(" (")[0] in section.baselines for label in table.index]
        table = table.assign(task=section.title, baseline=np.array(aside, dtype=bool))
        found.append(table.rename_axis("method").reset_index())
    whole = pd.concat(found, ignore_index=True)
    return whole[["task", "method", "baseline", *COLUMNS]]


def _means(rows: pd.DataFrame) -> pd.Series:
    """The mean of each method over the nodes and models, as the tables have it."""
    places = [rows[name].fillna(-1).rename(name) for name in ("model_seed", "node")]
    by_place = rows.groupby(["label", *places])["value"].mean()
    return by_place.groupby("label").mean()
