"""A figure as bytes."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from benchmarks.report.figures.style import style


def encode(figure: Figure) -> tuple[str, bytes]:
    """The figure as SVG and PNG; the same figure gives the same bytes."""
    with style():
        drawn, painted = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(painted, format="png", metadata={"Software": None})
    return drawn.getvalue().decode(), painted.getvalue()
