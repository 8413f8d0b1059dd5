"""A figure as bytes."""

from __future__ import annotations

import io
import re

from matplotlib.figure import Figure

from benchmarks.report.figures.style import style

_PLACE = re.compile(r'(?<= [dxy]=")[^"]*')
_STEP = re.compile(r"(z|[ML]?(?=[-\d.]))(?:([-\d.e]+) ([-\d.e]+))?")
_ID = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')
# A line of one point, of which only the marker is seen.
_POINT = re.compile(r'<path d="M[-\d.]+ [-\d.]+"[^>]*/>\s*')
# Shapes with one clip path, and the definitions between them.
_RUN = re.compile(
    r'(?=<(?:path|g)\b[^>]*?( clip-path="[^"]*"))'
    r"(?:<path [^>]*\1[^>]*/>\n|<g\1>\n(?:<use [^>]*/>\n)+</g>\n"
    r"|<defs>\n(?:<path [^>]*/>\n)+</defs>\n)+"
)
# Strokes of one style; where they are transparent, one path would be another picture.
_STROKES = re.compile(
    r'<path d="[^"]*" (style="fill: none(?:(?!opacity)[^"])*")/>\n(?:<path d="[^"]*" \1/>\n)+'
)
# Markers of one style.
_MARKERS = re.compile(r'<use ([^>]*?) (style="(?:(?!opacity)[^"])*")/>\n(?:<use [^>]*? \2/>\n)+')
_TAG = re.compile(r"<[^>]*>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FAMILY = re.compile(r"\s*font-family: ([^;\"]*);")
_NO_TURN = re.compile(r' transform="rotate\(-?0 [^"]*\)"')


def encode(figure: Figure) -> tuple[str, bytes]:
    """The figure as SVG and PNG; the same figure gives the same bytes."""
    with style():
        drawn, painted = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")  # the places are found: a second search costs as much
        figure.savefig(painted, format="png", metadata={"Software": None})
    return _compact(drawn.getvalue().decode()), painted.getvalue()


def _compact(svg: str) -> str:
    """The same drawing in a fifth of the bytes: a tenth of a point is finer than most screens.

    Only what is in tags is changed, and texts stay. Groups that only name a part go, and so do
    comments, in which matplotlib repeats all texts, and lines of one point, which show nothing; the
    family of the fonts is said once, and a clip path once for shapes that follow each other.
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", _COMMENT.sub("", svg), flags=re.DOTALL)
    svg = _TAG.sub(lambda tag: _shorter(" ".join(tag[0].split())), svg)
    if families := set(_FAMILY.findall(svg)):
        family = families.pop()
        if not families:
            svg = _FAMILY.sub("", svg).replace("<svg ", f'<svg font-family="{family}" ', 1)
    svg = _with_short_ids(_without_names(_POINT.sub("", svg)))
    svg = _RUN.sub(_one_group, re.sub(r">\s+<", ">\n<", svg))
    return _MARKERS.sub(_one_style, _STROKES.sub(_one_path, svg))


def _shorter(tag: str) -> str:
    """A tag with fewer digits: hundredths of a point in markers, which are small, else tenths."""
    if not tag.startswith("<path id="):
        tag = _PLACE.sub(lambda place: _rounded(place[0], 1), tag)
    tag = re.sub(r'(?<= d=")[^"]*', _line, _rounded(tag, 2))
    return _NO_TURN.sub("", tag)


def _rounded(text: str, digits: int) -> str:
    """The text with all numbers of more decimals rounded."""
    return re.sub(
        rf"-?\d+\.\d{{{digits + 1},}}",
        lambda number: f"{float(number[0]):.{digits}f}".rstrip("0").rstrip("."),
        text,
    )


def _line(data: re.Match[str]) -> str:
    """A path's data without what it can do without: pairs that follow an M are lines.

    Where all are straight, one along an axis has one number.
    """
    text = re.sub(r"\s*([A-Za-z])\s*", r"\1", data[0]).strip()
    if re.search("[A-KN-Y]", text):
        return text
    found = ""
    last = x_before = y_before = ""
    for command, x, y in _STEP.findall(text):
        if command in ("M", "z"):
            last = f"{command}{x}{' ' * bool(x)}{y}"
        elif y == y_before:
            last = f"H{x}"
        elif x == x_before:
            last = f"V{y}"
        else:
            last = f"{' ' if last[0] in 'M ' else 'L'}{x} {y}"
        found += last
        x_before, y_before = x, y
    return found


def _with_short_ids(svg: str) -> str:
    """The drawing with its ids numbered: matplotlib's are long, and every use repeats one."""
    names: dict[str, str] = {}

    def short(tag: re.Match[str]) -> str:
        return _ID.sub(lambda one: one[1] + names.setdefault(one[2], f"i{len(names)}"), tag[0])

    return _TAG.sub(short, svg)


def _one_group(run: re.Match[str]) -> str:
    """Shapes that follow each other and have one clip path, as one group that has it."""
    if run[0].count(run[1]) < 2:
        return run[0]
    inner = re.sub(rf"<g{re.escape(run[1])}>\n(.*?\n)</g>\n", r"\1", run[0], flags=re.DOTALL)
    return f"<g{run[1]}>\n{inner.replace(run[1], '')}</g>\n"


def _one_path(strokes: re.Match[str]) -> str:
    """Strokes of one style that follow each other, as one path."""
    data = "".join(re.findall(r' d="([^"]*)"', strokes[0]))
    return f'<path d="{data}" {strokes[1]}/>\n'


def _one_style(markers: re.Match[str]) -> str:
    """Markers of one style that follow each other, as a group that has it."""
    return f"<g {markers[2]}>\n{markers[0].replace(f' {markers[2]}', '')}</g>\n"


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
