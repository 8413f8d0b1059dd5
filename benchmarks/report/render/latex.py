"""The report's blocks as LaTeX: a document whose tables can be copied into a paper.

The tables need the packages ``booktabs`` and ``longtable``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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

_PREAMBLE = r"""% Made by python -m benchmarks report. To copy a table into a paper:
% \usepackage{booktabs,longtable}; or put its lines from \toprule to \bottomrule into a tabular.
\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a3paper,landscape,margin=2cm]{geometry}
\usepackage{array,booktabs,longtable,graphicx,textcomp}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\setlength{\LTleft}{0pt}
"""
_SPECIAL = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
    **{"'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}"},
    **{"-": "{-}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "×": r"$\times$"},
    **{"†": r"$\dagger$", "≥": r"$\geq$", "≤": r"$\leq$", "–": "--", "µ": r"\textmu{}"},
    **{"‡": r"$\ddagger$", "±": r"$\pm$", "≈": r"$\approx$", "→": r"$\rightarrow$"},
    **{"−": "$-$", "—": "---", "…": r"\ldots{}", "∞": r"$\infty$", "²": "$^2$"},
}
_WIDE = 30  # a column with a text longer than this is set as paragraphs


def render(title: str, blocks: Sequence[Block]) -> str:
    """The whole document; pdflatex reads it beside ``figures/``."""
    shown = [_block(block) for block in blocks if not isinstance(block, Choice)]
    start = f"{_PREAMBLE}\\begin{{document}}\n\\section*{{{escape(title)}}}"
    return "\n\n".join([start, *shown, "\\end{document}"]) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX that prints it as it is; a character that pdflatex lacks, as its code point."""
    return "".join(_SPECIAL.get(sign) or _plain(sign) for sign in " ".join(text.split()))


def _plain(sign: str) -> str:
    # T1 has the letters of Latin-1 and Latin Extended-A.
    return sign if " " <= sign <= "~" or "\u00a1" <= sign <= "\u017f" else f"(U+{ord(sign):04X})"


def _block(block: Heading | Text | Caution | Items | Code | Table | Picture) -> str:
    match block:
        case Heading(text=text, level=level):
            return f"\\{'sub' * (level - 2)}section*{{{escape(text)}}}"
        case Text(text):
            return escape(text)
        case Caution(text):
            return f"\\textbf{{Warning:}} {escape(text)}"
        case Items(texts):
            items = "\n".join(f"\\item {escape(text)}" for text in texts)
            return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
        case Code(text):
            lines = "\\\\\n".join(escape(line) or "~" for line in text.splitlines())
            return f"{{\\ttfamily\\raggedright\n{lines}\\par}}"
        case Picture(name=name, caption=caption):
            image = f"\\includegraphics[width=0.7\\linewidth]{{figures/{name}.png}}"
            return f"\\begin{{center}}\n{image}\\\\\n\\small {escape(caption)}\n\\end{{center}}"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    header = " & ".join(f"\\textbf{{{escape(name)}}}" for name in table.header)
    body = "\n".join(" & ".join(_entry(entry) for entry in row) + r" \\" for row in table.rows)
    return f"""{{\\footnotesize
\\begin{{longtable}}{{{_columns(table)}}}
\\caption*{{{escape(table.caption)}}}\\\\
\\toprule
{header} \\\\
\\midrule
\\endhead
\\bottomrule
\\endlastfoot
{body}
\\end{{longtable}}}}"""


def _columns(table: Table) -> str:
    """Left-aligned columns; those with long texts share the line as paragraphs."""
    longest = [
        max((len(entry.text) for entry in column), default=0)
        for column in zip(*table.rows, strict=True)
    ] or [0] * len(table.header)
    wide = [length > _WIDE for length in longest]
    width = 0.7 / max(1, sum(wide))
    paragraph = rf">{{\raggedright\arraybackslash}}p{{{width:.2f}\linewidth}}"
    return "".join(paragraph if one else "l" for one in wide)


def _entry(entry: Entry) -> str:
    # What cannot be broken at spaces, such as a checksum, may break anywhere.
    text = escape(entry.text)
    if re.fullmatch(r"[0-9a-f]{40,}", entry.text):
        text = r"\allowbreak ".join(re.findall(".{1,8}", entry.text))
    if entry.url:
        address = re.sub(r"([%#])", r"\\\1", entry.url)
        text = f"\\href{{{address}}}{{{text}}}"
    return {"best": f"\\textbf{{{text}}}", "tied": f"{text} $\\dagger$"}.get(entry.mark, text)
