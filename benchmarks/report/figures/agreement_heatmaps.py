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
    """A heatmap of methods by methods, those that agree side by side.

    Args:
        matrices: One or two, by title: symmetric, and shown below the diagonal and above it.
    """
    if not matrices:
        return None
    (title, first), *others = matrices.items()
    order = clustered(first)
    shown = first.reindex(index=order, columns=order).astype(float)
    above = np.triu(np.ones(shown.shape, dtype=bool))
    shown = shown.mask(above)
    for name, other in others:
        title = f"below the diagonal: {title}\nabove: {name}"
        square = other.reindex(index=order, columns=order).astype(float)
        shown = shown.combine_first(square.where(above & ~np.eye(len(order), dtype=bool)))
        shown = shown.loc[order, order]
    with style():
        size = 1.6 + 0.42 * len(order)
        figure, axes = grid(1, 1, (size + 0.4, size + 0.6))
        axis = axes[0, 0]
        sns.heatmap(
            shown,
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
        axis.grid(visible=False)
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
