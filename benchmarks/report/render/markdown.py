"""The report's blocks as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.report.render.blocks import (
    Block,
    Caution,
    Choice,
    Code,
    Entry,
    Heading,
    Items,
    Picture,
    Table,
    Text,
)

DETAILS = "All tables and figures are in report.html, a page that needs no other file."


def render(title: str, blocks: Sequence[Block]) -> str:
    """The document, without the parts that are marked as too detailed for it."""
    return f"# {escape(title)}\n\n{body(_short(blocks))}\n"


def _short(blocks: Iterable[Block]) -> Iterator[Block]:
    """In place of all detailed parts, where they are."""
    said = skipped = False
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            skipped = block.detailed
            if skipped and not said:
                said = True
                yield Text(DETAILS)
        if not skipped:
            yield block


def body(blocks: Iterable[Block]) -> str:
    """The blocks alone, without a title."""
    return "\n\n".join(_block(block) for block in blocks if not isinstance(block, Choice))


def escape(text: str) -> str:
    """Text as Markdown that shows it as it is, in a paragraph and in a table's cell.

    A name from the data may hold a pipe, a tag, a link. Underscores inside words, as in
    ``integrated_gradients``, and the brackets of intervals are left readable.
    """
    line = " ".join(text.split())
    line = re.sub(r"([\\`*|~$])", r"\\\1", line).replace("](", r"]\(")
    line = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _block(block: Heading | Text | Caution | Items | Code | Table | Picture) -> str:
    match block:
        case Heading(text=text, level=level):
            return f"{'#' * level} {escape(text)}"
        case Text(text):
            return escape(text)
        case Caution(text):
            return f"> **Warning:** {escape(text)}"
        case Items(texts):
            return "\n".join(f"- {escape(text)}" for text in texts)
        case Code(text):
            fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
            return f"{fence}sh\n{text}\n{fence}"
        case Picture(name=name, caption=caption):
            image = f"![{escape(caption)}](figures/{name}.svg)\n\n*Figure.* {escape(caption)}"
            # No link: a published run is without the file, `report` draws it again.
            return image + (f" Its data: `figures/{name}.csv`." if block.csv else "")
        case Table(caption, header, rows):
            lines = [header, ["---"] * len(header)]
            lines += [[_entry(entry) for entry in row] for row in rows]
            lines[0] = [escape(name) for name in header]
            table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
            return f"*Table.* {escape(caption)}\n\n{table}"


def _entry(entry: Entry) -> str:
    text = escape(entry.text)
    if entry.url:
        return f"[{text}]({entry.url})"
    return {"best": f"**{text}**", "tied": f"{text} †"}.get(entry.mark, text)
