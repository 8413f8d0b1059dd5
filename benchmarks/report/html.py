"""The report's blocks as one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.report.blocks import Block

_TEMPLATE = "report.html.j2"


def render(title: str, blocks: Sequence[Block], drawings: Mapping[str, str]) -> str:
    """The whole document.

    Args:
        title: The page's title.
        blocks: What it shows.
        drawings: Each figure's SVG, by name.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names of methods, messages: all of it comes from files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    inlined = {name: Markup(inline(svg, name)) for name, svg in drawings.items()}
    return environment.get_template(_TEMPLATE).render(title=title, blocks=blocks, drawings=inlined)


def inline(svg: str, name: str) -> str:
    """An SVG file's ``<svg>`` element, fit to stand in a page beside others.

    Ids get the figure's name in front, or one figure would take another's clip paths; comments go,
    since matplotlib repeats all texts in them; the page's style gives the size.
    """
    svg = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    head, body = svg.split(">", 1)
    width = re.search(r'\bwidth="([\d.]+)pt"', head)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    wide = f' style="width: {float(width[1]):.0f}pt"' if width else ""
    return f'{head} aria-hidden="true"{wide}>{body}'
