"""The lines in which ``explain`` tells what it found, see :mod:`benchmarks.cli.explained`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ROWS = 5  # of each table
Record = dict[str, Any]


def headline(found: Record) -> list[str]:
    """What is explained, in two lines."""
    level = next(kind for kind in ("graph", "edge", "node") if kind in found)
    kind = f" of type {found['node_type']}" if "node_type" in found else ""
    names, target, label = found["class_names"], found["target"], found["label"]
    columns = len(found["output"])
    column = f"{target} of {columns}" + (f" ({names[target]})" if names and columns > 1 else "")
    value = (found["probabilities"] or found["output"])[target]
    if found["mode"] == "multiclass_classification":
        said = (
            f"predicted class {named(target, names)} with probability {value:.2f}, labelled "
            f"{named(label, names)}"
        )
    elif found["mode"] == "regression":
        which = f" in column {column}" if columns > 1 else ""
        said = f"predicted {value:.4g}{which}, labelled {label:.4g}"
    else:
        no, yes = names if names and columns == 1 else ("no", "yes")
        which = f"label {column}: " if columns > 1 else ""
        said = (
            f"{which}predicted {yes if value > 0.5 else no}, probability of {yes} {value:.2f}, "
            f"labelled {yes if label else no}"
        )
    measure, share = found["performance"]["kind"], found["performance"]["value"]
    size = "undefined" if share is None else f"{share:.3f}" if measure == "R²" else f"{share:.1%}"
    return [
        f"{found['task']}, {'link' if level == 'edge' else level} {found[level]}{kind}: "
        f"{found['description']}",
        f"{said}; {measure} of the model {size.replace('%', ' %')}",
    ]


def named(kind: int, names: Sequence[str] | None) -> str:
    """The number of a class and, if it has one, its name."""
    return f"{kind} ({names[kind]})" if names else str(kind)


def notes(found: Record) -> list[str]:
    """How well the drawn edges explain, below the picture: a line or two."""
    lines = []
    fidelity, truth = found["fidelity"], found["ground_truth"]
    if fidelity is not None and fidelity["trivial"]:
        lines.append("with all edges drawn, fidelity is the same for every method")
    elif fidelity is not None:
        lines.append(f"{_both(fidelity['drawn'])} ({fidelity['unit']}, masked)")
    if truth is not None:
        union = f" (union of {truth['alternatives']})" if truth["alternatives"] > 1 else ""
        lines.append(f"{truth['drawn']} of {truth['edges']} ground-truth edges{union} drawn")
    return lines


def lines(found: Record, drawn: str, class_names: Sequence[str] | None) -> Iterator[str]:
    """All that is printed of a method.

    Args:
        found: See :func:`explained`.
        drawn: What is drawn, in words.
        class_names: Of the classes.
    """
    yield drawn
    yield from notes(found)
    fidelity = found["fidelity"]
    if fidelity is not None and fidelity["by_signed_score"] != fidelity["drawn"]:
        count = found["drawn"]["edges"]
        yield (
            f"the {count} edges with the highest signed scores, as reports select: "
            f"{_both(fidelity['by_signed_score'])}"
        )
    yield from _tables(found, class_names)
    if "by_type" in found["drawn"]:
        yield from _types(found["drawn"]["by_type"])


def _both(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} = {_short(value)}" for name, value in values.items())


def _short(value: float | None) -> str:
    """Three decimals; of what is smaller two digits, unless it is rounding of single precision."""
    if value is None:
        return "undefined"
    if abs(value) < 1e-6:
        return "0.000"
    return f"{value:.3f}" if abs(value) >= 5e-4 else f"{value:.1e}"


def _tables(found: Record, class_names: Sequence[str] | None) -> Iterator[str]:
    """The strongest edges, nodes and, if the method scores them, features, side by side."""
    edges, nodes = _strongest(found["edges"]), _strongest(found["nodes"])
    marked = [edge.get("ground_truth", False) for edge in edges]
    columns = [
        _column(
            "edge",
            [edge["score"] for edge in edges],
            [
                _arrow(edge).join(edge["names"]) + (" *" if mark else "")
                for edge, mark in zip(edges, marked, strict=True)
            ],
        ),
        _column(
            "node",
            [node["score"] for node in nodes],
            [
                f"{node['name']} ({class_names[node['class']]})"
                if class_names and "class" in node
                else node["name"]
                for node in nodes
            ],
        ),
    ]
    if found["features"] is not None:
        features = _strongest(found["features"])
        columns.append(
            _column(
                "feature",
                [feature["score"] for feature in features],
                [feature["name"] for feature in features],
            )
        )
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        line = "   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        if line.strip():
            yield line.rstrip()
    if any(marked):
        yield "* ground truth"


def _arrow(edge: Record) -> str:
    """What stands between the ends of an edge: with several types, its relation, too."""
    return f" - {edge['type'][1]} -> " if "type" in edge else " -> "


def _types(rows: Sequence[Record]) -> Iterator[str]:
    """How many edges of each type are drawn, and how much of the scores the type has."""
    names = [" - ".join(row["type"][:2]) + f" -> {row['type'][2]}" for row in rows]
    counts = [f"{row['edges']:,} of {row['of']:,}" for row in rows]
    shares = [f"{100 * row['share_of_absolute_scores']:.0f} %" for row in rows]
    cells = zip(
        ["edge type", *names], ["drawn", *counts], ["share of scores", *shares], strict=True
    )
    width, wide = max(map(len, ["edge type", *names])), max(map(len, ["drawn", *counts]))
    for name, count, share in cells:
        yield f"{name:{width}}  {count:>{wide}}  {share:>15}"


def _strongest(rows: Sequence[Record]) -> list[Record]:
    """Those with the largest absolute scores, ``ROWS`` at most; none with 0."""
    return sorted((row for row in rows if row["score"]), key=lambda row: -abs(row["score"]))[:ROWS]


def _column(title: str, scores: Sequence[float], names: Sequence[str]) -> list[str]:
    """A heading and ``ROWS`` lines, filled up with empty ones."""
    unit, numbers = scaled(scores)
    heading = f"score {unit}".rstrip()
    width = max([len(title), *map(len, names)])
    right = max([len(heading), *map(len, numbers)])
    rows = [(title, heading), *zip(names, numbers, strict=True)]
    lines = [f"{name:{width}}  {number:>{right}}" for name, number in rows]
    return lines + [""] * (1 + ROWS - len(lines))


def scaled(scores: Sequence[float]) -> tuple[str, list[str]]:
    """The scores with four decimals in a unit that all share, such as ``x1e-6``; and that unit.

    Where four decimals would make a score 0 that is not, all have three significant digits.
    """
    largest = max(map(abs, scores), default=0.0)
    exponent = math.floor(math.log10(largest)) if largest else 0
    if -2 <= exponent < 4:
        exponent = 0
    unit = float(f"1e{max(exponent, -300)}")
    texts = [f"{score / unit:+.4f}" for score in scores]
    if any(score and not float(text) for score, text in zip(scores, texts, strict=True)):
        return "", [f"{score:+.2e}" for score in scores]
    return f"(x1e{exponent})" if exponent else "", texts
