"""Figures of explanations: one of them, or several side by side."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation, HeteroExplanation

from explainers.drawing import layout
from explainers.drawing.panel import captions, legend_handles, panel, wrapped
from explainers.drawing.select import explained_nodes, node_ids, shown
from explainers.drawing.view import Classes, Labels, Truth, View, view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3  # of pictures side by side, before the next row


def draw(
    explanation: Explanation | HeteroExplanation,
    data: Data | HeteroData | None = None,
    ax: Axes | None = None,
    *,
    edges: int = 20,
    classes: Classes | None = None,
    labels: Labels | None = None,
    class_names: Sequence[str] = (),
    truth: Truth | None = None,
    title: str = "",
    note: str = "",
    legend: bool = True,
) -> Axes:
    """Draws an explanation: its strongest edges, and the nodes that they join.

    An edge is the wider and darker, a node the fuller in colour, the larger its absolute score is
    (a node's: summed over its features), relative to the largest in the explanation. Solid black
    edges speak for the explained class, dashed ones against it. The explained node has a thick rim
    and is in the middle; the rings around it are the hops to it. So have both ends of an explained
    link, which a dotted line joins; the rings around them are the hops to the nearer one.

    Of a heterogeneous graph the strongest edges are those of all types together; colours say which
    type an edge has, colours and shapes which a node has.

    Args:
        explanation: Of a method of this library.
        data: The graph; its ``y`` colours the nodes, if it has a class for each.
        ax: Where to draw; None for a new figure of pyplot.
        edges: How many edges to draw at most. The text below says what is left out.
        classes: A class for each node of the graph, [N], in place of ``data.y``; for example the
            model's predictions.
        labels: A text for each node of the graph, [N]; None for its number.
        class_names: Of the classes, for the legend; none for their numbers.
        truth: The ground truth, which a band marks: which edges of the graph are right, bool [E],
            or a row for each node (or graph), as :func:`explainers.metrics.evaluate` takes it.
            Of a heterogeneous graph a dict by edge type, as ``labels`` is one by node type; there
            are no ``classes`` then.
        title: Above the picture, for example the method's name.
        note: Further lines below it, for example the fidelity of the drawn edges.
        legend: Whether to explain the colours and lines below the picture.

    Returns:
        The axes.

    Raises:
        ImportError: The extra ``draw`` is not installed.
        ValueError: ``edges``, ``classes``, ``labels`` or ``truth`` are invalid, or scores are NaN.
    """
    matplotlib, networkx = _libraries()
    seen = view(explanation, data, classes, labels, class_names, truth)
    part = shown(seen.explanation, edges)
    positions = layout.place(networkx, [seen.explanation], [part])
    figure: Figure | None = None
    if ax is None:
        width, height = layout.size(positions)
        pyplot = importlib.import_module("matplotlib.pyplot")
        figure, ax = pyplot.subplots(figsize=(width, height + 1.3), layout="constrained")
    assert ax is not None
    panel(matplotlib, ax, seen, part, positions)
    lines = captions(ax, layout.size(positions)[0], title, str(part), *note.splitlines())
    if legend:
        handles = legend_handles(matplotlib, [(seen, part)])
        style = {"handles": handles, "ncols": min(2, len(handles)), "frameon": False, "fontsize": 8}
        if figure is not None:
            figure.legend(loc="outside lower center", **style)
        else:  # below the lines, whatever else is in the figure
            below = {"bbox_to_anchor": (0.5, 0.0), "borderaxespad": 1.0 + 1.3 * lines}
            ax.legend(loc="upper center", **below, **style).set_in_layout(False)
    return ax


def compare(
    explanations: Mapping[str, Explanation | HeteroExplanation],
    data: Data | HeteroData | None = None,
    *,
    edges: int = 20,
    classes: Classes | None = None,
    labels: Labels | None = None,
    class_names: Sequence[str] = (),
    truth: Truth | None = None,
    notes: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """Draws several explanations of one node side by side; a node has the same place in all.

    Args:
        explanations: By name, for example the method's; all of the same node.
        data: See :func:`draw`, as for ``edges``, ``classes`` and ``labels``.
        edges: How many edges of each.
        classes: A class for each node.
        labels: A text for each node.
        class_names: Of the classes.
        truth: The ground truth.
        notes: Further lines for some of them, by name.
        title: Above all of them.

    Returns:
        A figure that pyplot does not know of.

    Raises:
        ImportError: The extra ``draw`` is not installed.
        ValueError: As :func:`draw`; or no explanation, or of different nodes.
    """
    matplotlib, networkx = _libraries()
    views = {
        name: view(explanation, data, classes, labels, class_names, truth)
        for name, explanation in explanations.items()
    }
    _check_same(views)
    found = [one.explanation for one in views.values()]
    parts = [shown(explanation, edges) for explanation in found]
    positions = layout.place(networkx, found, parts)
    width, height = layout.size(positions)
    columns = min(len(found), COLUMNS)
    rows = -(-len(found) // columns)
    fit = int(11.5 * width * columns)  # letters of the title in a line
    lines = [part for line in title.splitlines() for part in textwrap.wrap(line, fit)]
    below = [
        [str(part), *(notes or {}).get(name, "").splitlines()]
        for name, part in zip(explanations, parts, strict=True)
    ]
    most = max(len(wrapped(text, width)) for text in below)
    handles = legend_handles(matplotlib, list(zip(views.values(), parts, strict=True)))
    longest = max((len(handle.get_label()) for handle in handles), default=0)
    ncols = max(1, min(len(handles), int(width * columns / (0.55 + 0.065 * longest))))
    height = rows * (height + 0.45 + 0.15 * most) + 0.2 * (len(lines) + -(-len(handles) // ncols))
    figure: Figure = matplotlib.figure.Figure((width * columns, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in panels[len(found) :]:
        ax.set_visible(False)
    for ax, name, part, text in zip(panels, explanations, parts, below, strict=False):
        panel(matplotlib, ax, views[name], part, positions)
        captions(ax, width, name, *text)
    if title:
        figure.suptitle("\n".join(lines), fontsize=11)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=ncols, frameon=False, fontsize=8
    )
    return figure


def _libraries() -> tuple[Any, Any]:
    """The packages matplotlib and networkx, with the submodules that pictures need."""
    try:
        for name in ("figure", "lines", "patches", "patheffects"):
            importlib.import_module(f"matplotlib.{name}")
        importlib.import_module("scipy.optimize")  # networkx places whole graphs with it
        return importlib.import_module("matplotlib"), importlib.import_module("networkx")
    except ImportError as error:
        raise ImportError(
            f"pictures need matplotlib, networkx and scipy ({error}); install them with the extra "
            "`draw`: python -m pip install 'gnn-explainer-bench[draw]'"
        ) from error


def _check_same(views: Mapping[str, View]) -> None:
    if not views:
        raise ValueError("there is no explanation to draw; give at least one")
    (first, one), *others = views.items()
    for name, other in others:
        mine, theirs = one.explanation, other.explanation
        if (
            explained_nodes(mine) != explained_nodes(theirs)
            or not torch.equal(node_ids(mine), node_ids(theirs))
            or not torch.equal(mine.edge_index, theirs.edge_index)
            or one.edge_types != other.edge_types
        ):
            raise ValueError(
                f"{first!r} and {name!r} do not explain the same node of the same graph; compare "
                "explanations of one node"
            )
