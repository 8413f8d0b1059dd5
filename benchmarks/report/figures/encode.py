"""A figure as bytes."""

from __future__ import annotations

import io
import re

from matplotlib.figure import Figure

from benchmarks.report.figures.style import style

_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_TAG = re.compile(r"<[^>]*>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FAMILY = re.compile(r"\s*font-family: ([^;\"]*);")
_NO_TURN = re.compile(r' transform="rotate\(-?0 [^"]*\)"')


def encode(figure: Figure) -> tuple[str, bytes]:
    """The figure as SVG and PNG; the same figure gives the same bytes."""
    with style():
        drawn, painted = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(painted, format="png", metadata={"Software": None})
    return _compact(drawn.getvalue().decode()), painted.getvalue()


def _compact(svg: str) -> str:
    """The same drawing in a third of the bytes: a hundredth of a point is finer than any screen.

    Only what is in tags is changed, and texts stay. Groups that only name a part go, and so do
    comments, in which matplotlib repeats all texts; the family of the fonts is said once.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", _COMMENT.sub("", svg), flags=re.DOTALL)
    svg = _TAG.sub(lambda tag: " ".join(_LONG_NUMBER.sub(_rounded, tag[0]).split()), svg)
    svg = re.sub(r'(?<= d=")[^"]*', _line, svg)
    svg = _TAG.sub(lambda tag: _NO_TURN.sub("", tag[0]), svg)
    if families := set(_FAMILY.findall(svg)):
        family = families.pop()
        if not families:
            svg = _FAMILY.sub("", svg).replace("<svg ", f'<svg font-family="{family}" ', 1)
    return re.sub(r">\s+<", ">\n<", _without_names(svg))


def _line(data: re.Match[str]) -> str:
    """A path's data without what it can do without: pairs that follow an M are lines."""
    text = re.sub(r"\s*([A-Za-z])\s*", r"\1", data[0]).strip()
    return text if re.search("[A-KN-Y]", text) else text.replace("L", " ")


def _without_names(svg: str) -> str:
    """The drawing without groups that have nothing but an id: nothing refers to a group's."""
    opened: list[bool] = []

    def kept(tag: re.Match[str]) -> str:
        text = tag[0]
        if text == "</g>":
            return text if opened.pop() else ""
        if text.startswith("<g"):
            text = re.sub(r' id="[^"]*"', "", text)
            if not text.endswith("/>"):
                opened.append(text != "<g>")
            return "" if text == "<g>" else text
        return text

    return re.sub(r"</?g\b[^>]*>", kept, svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
