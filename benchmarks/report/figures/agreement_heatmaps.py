"""How far methods agree with each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from benchmarks.report.figures.style import grid, stepped, style, vector_bars


def draw(matrices: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Heatmaps of methods by methods, by title: one triangle, methods that agree side by side."""
    if not matrices:
        return None
    with style():
        size = 1.6 + 0.42 * max(len(square) for square in matrices.values())
        figure, axes = grid(1, len(matrices), (size + 0.4, size + 0.6))
        order = clustered(next(iter(matrices.values())))
        for axis, (title, known) in zip(axes[0], matrices.items(), strict=True):
            square = known.reindex(index=order, columns=order).astype(float)
            sns.heatmap(
                square,
                mask=np.triu(np.ones(square.shape, dtype=bool), 1),
                ax=axis,
                cmap=stepped("vlag"),
                vmin=-1,
                vmax=1,
                annot=True,
                fmt=".2f",
                annot_kws={"fontsize": 7},
                square=True,
                cbar_kws={"shrink": 0.6},
                linewidths=0.5,
            )
            axis.set(title=title, xlabel="", ylabel="")
            axis.tick_params(axis="x", rotation=90)
            axis.tick_params(axis="y", rotation=0)
        vector_bars(figure)
    return figure


def clustered(square: pd.DataFrame) -> list[str]:
    """The methods in the order of an average linkage by 1 - agreement; unknown pairs as 0."""
    if len(square) < 3:
        return list(square.index)
    distances = 1 - square.astype(float).fillna(0.0).to_numpy()
    np.fill_diagonal(distances, 0.0)
    joined = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    return [str(square.index[i]) for i in leaves_list(joined)]
