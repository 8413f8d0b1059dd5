"""Mean ranks of all methods on all tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from benchmarks.report.figures.mean_ranks import signs
from benchmarks.report.figures.style import stepped, style, vector_bars

_LETTER = 0.075  # inches


def draw(ranks: pd.DataFrame) -> Figure:
    """Heatmaps of methods by tasks, one below the other; see ``sections.ranks.overview``."""
    titles = list(ranks["metric"].unique())
    marks = [
        signs(mark, not_better=not_better)
        for mark, not_better in zip(ranks["mark"], ranks["not_better_than_random"], strict=True)
    ]
    shown = ranks.assign(text=ranks["mean_rank"].map("{:.1f}".format) + marks).pivot(
        index="method", columns=["metric", "task"]
    )
    means, texts = shown["mean_rank"], shown["text"].fillna("")
    order = sorted(means.index, key=lambda method: float(np.nanmean(means.loc[method])))
    columns = max(4, *(means[title].shape[1] for title in titles))  # a title needs as much
    with style():
        names = _LETTER * max(20, *(len(name) for name in order))
        size = 1.9 + names + 0.72 * columns, (1.9 + 0.25 * len(means)) * len(titles)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(titles), 1, squeeze=False)
        for axis, title in zip(axes[:, 0], titles, strict=True):
            sns.heatmap(
                means[title].loc[order],
                ax=axis,
                cmap=stepped("crest"),
                vmin=1,
                vmax=ranks["mean_rank"].max(),
                annot=texts[title].loc[order].to_numpy(),
                fmt="",
                annot_kws={"fontsize": 8},
                cbar_kws={"label": "mean rank"},
                linewidths=0.8,
            )
            axis.set(title=title, xlabel="", ylabel="")
            axis.grid(visible=False)
            axis.tick_params(axis="both", rotation=0, length=0)
            for label in axis.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
        vector_bars(figure)
    return figure
