"""A figure as bytes."""

from __future__ import annotations

import io
import re

from matplotlib.figure import Figure

from benchmarks.report.figures.style import style

_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_TAG = re.compile(r"<[^>]*>", re.DOTALL)


def encode(figure: Figure) -> tuple[str, bytes]:
    """The figure as SVG and PNG; the same figure gives the same bytes."""
    with style():
        drawn, painted = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(painted, format="png", metadata={"Software": None})
    return _compact(drawn.getvalue().decode()), painted.getvalue()


def _compact(svg: str) -> str:
    """The same drawing in half the bytes: a hundredth of a point is finer than any screen.

    Only what is in tags is changed, and of it nothing but numbers and white space; texts stay.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _TAG.sub(lambda tag: " ".join(_LONG_NUMBER.sub(_rounded, tag[0]).split()), svg)
    return re.sub(r">\s+<", ">\n<", svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
