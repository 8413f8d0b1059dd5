"""How far methods agree with each other."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from benchmarks.report.figures.style import grid, style


def draw(matrices: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Heatmaps of methods by methods, by title."""
    if not matrices:
        return None
    with style():
        size = 1.6 + 0.42 * max(len(square) for square in matrices.values())
        figure, axes = grid(1, len(matrices), (size + 0.4, size + 0.6))
        for axis, (title, square) in zip(axes[0], matrices.items(), strict=True):
            sns.heatmap(
                square.astype(float),
                ax=axis,
                cmap="vlag",
                vmin=-1,
                vmax=1,
                annot=True,
                fmt=".2f",
                annot_kws={"fontsize": 7},
                square=True,
                cbar=False,
                linewidths=0.5,
            )
            axis.set(title=title, xlabel="", ylabel="")
            axis.tick_params(axis="x", rotation=90)
            axis.tick_params(axis="y", rotation=0)
    return figure
