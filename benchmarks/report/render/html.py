"""The report's blocks as one HTML file that needs no network and no other file.

Its script adds sorting, one filter by method for the whole page and a choice by an error bound, but
it can be read without. Its content security policy allows no other script, and no request.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.report.data.frames import natural
from benchmarks.report.render.blocks import NOTHING, Block, Entry, Heading, Picture, Table

_FOLDER = Path(__file__).parent
# An interval, a number with its unit, a mark: no line ends within one.
_UNBROKEN = re.compile(r"\[[-\d.,×% ]+\]|^[\d.,]+ \S{1,2}(?= \[|$)|(?<=[\d\]]) ‡$")


def render(title: str, blocks: Sequence[Block], drawings: Mapping[str, str]) -> str:
    """The whole document.

    Args:
        title: The page's title.
        blocks: What it shows.
        drawings: Each figure's SVG, by name.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,  # names of methods, messages: all of it comes from files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"value": _value, "json": _json, "classes": _classes}
    environment.filters |= {"text": _text, "csv": _csv}
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    inlined, classes = _share(
        {name: inline(svg, f"g{i}") for i, (name, svg) in enumerate(drawings.items())}
    )
    return environment.get_template("report.html.j2").render(
        title=title,
        parts=_parts(blocks),
        methods=_methods(blocks),
        contents=_contents(blocks),
        drawings={name: Markup(svg) for name, svg in inlined.items()},
        policy=_policy(script),
        style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8") + classes),
        script=Markup(script),
    )


def inline(svg: str, name: str) -> str:
    """An SVG file's ``<svg>`` element, fit to stand in a page beside others.

    Ids get the figure's name in front, or one figure would take another's clip paths; the page's
    style gives the size.
    """
    svg = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'\s(xmlns(:xlink)?|version)="[^"]*"', "", svg).replace(" xlink:href=", " href=")
    head, body = svg.split(">", 1)
    width = re.search(r'\bwidth="([\d.]+)pt"', head)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    wide = f' style="--width: {float(width[1]):.0f}pt"' if width else ""
    return f'{head} aria-hidden="true"{wide}>{body}'


def _share(drawings: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The drawings with a class in place of each style, and the classes' rules: styles recur."""
    names: dict[str, str] = {}

    def named(tag: re.Match[str]) -> str:
        return f'{tag[1]}class="{names.setdefault(tag[2], f"d{len(names)}")}"'

    # Not of the <svg> itself, whose style is its own size.
    shared = {
        name: re.sub(r'(<(?!svg)[^>]*?\s)style="([^"]*)"', named, svg)
        for name, svg in drawings.items()
    }
    return shared, "".join(f".{name} {{ {style} }}\n" for style, name in names.items())


def _parts(blocks: Sequence[Block]) -> list[tuple[Heading | None, list[Block]]]:
    """The blocks cut where a folded heading starts a part, or another of its level ends one."""
    found: list[tuple[Heading | None, list[Block]]] = [(None, [])]
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            found.append((block, []) if block.folded else (None, [block]))
        else:
            found[-1][1].append(block)
    return found


def _methods(blocks: Sequence[Block]) -> list[str]:
    """The methods that tables and figures name, without the options of their variants."""
    names = set()
    for block in blocks:
        texts: list[str] = []
        if isinstance(block, Table) and "method" in block.header:
            column = list(block.header).index("method")
            texts = [row[column].text for row in block.rows]
        elif isinstance(block, Picture) and block.data is not None and "method" in block.data:
            texts = [str(text) for text in block.data["method"].unique()]
        names |= {name.partition(" (")[0] for text in texts for name in text.split(" = ")}
    return sorted(names - {"", NOTHING}, key=natural)


def _contents(blocks: Sequence[Block]) -> list[tuple[Heading, list[Heading]]]:
    """The headings of the second level, each with those of the third below it."""
    found: list[tuple[Heading, list[Heading]]] = []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            found.append((block, []))
        elif isinstance(block, Heading) and found:
            found[-1][1].append(block)
    return found


def _policy(script: str) -> str:
    # Figures are styled in place; the only script that may run is the report's own.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _value(entry: Entry) -> Markup:
    """The attribute that a column is sorted by; nothing for an entry without a value."""
    if entry.value is None or entry.value != entry.value:
        return Markup()
    return Markup(" data-value={}").format(f"{entry.value:.6g}")  # a number needs no quotes


def _classes(entry: Entry) -> Markup:
    # Words may wrap; numbers with their interval are one line on a screen.
    long = len(entry.text) >= (30 if entry.value is None else 40)
    names = [*(["best"] if entry.mark == "best" else []), *(["long"] if long else [])]
    if re.search(r"[^\s_]{40,}", entry.text):  # a checksum: it may break anywhere, on paper, too
        names.append("sum")
    return Markup(' class="{}"').format(" ".join(names)) if names else Markup()


def _text(entry: Entry) -> Markup:
    """An entry's text, which may break between a number and its interval, but not within one."""
    text = _UNBROKEN.sub(lambda found: found[0].replace(" ", "\u00a0"), entry.text)
    words = re.split(r"(\s+)", text)
    return Markup().join(escape(word) if len(word) < 29 else _breakable(word) for word in words)


def _csv(text: str) -> Markup:
    """Lines of CSV, which are full of quotes: in an element's text they need no escaping."""
    return Markup(str(escape(text)).replace("&#34;", '"').replace("&#39;", "'"))


def _breakable(word: str) -> Markup:
    """A long name with places where it may break: after each underscore."""
    return Markup("<wbr>").join(re.findall("[^_]+_?|_", word))


def _json(value: Any) -> str:
    """JSON as text; an attribute, unlike a script element, is escaped like any other text."""
    return json.dumps(value, default=dataclasses.asdict, allow_nan=False)
