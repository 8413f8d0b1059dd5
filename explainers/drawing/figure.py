"""Figures of explanations: one of them, or several side by side."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.explain import Explanation, HeteroExplanation

from explainers.drawing import layout
from explainers.drawing.panel import captions, legend_handles, panel, wrapped
from explainers.drawing.select import explained_nodes, node_ids, right_edges, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3  # of pictures side by side, before the next row


def draw(
    explanation: Explanation,
    data: Data | None = None,
    ax: Axes | None = None,
    *,
    edges: int = 20,
    classes: Tensor | Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    class_names: Sequence[str] = (),
    truth: Tensor | None = None,
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
        title: Above the picture, for example the method's name.
        note: Further lines below it, for example the fidelity of the drawn edges.
        legend: Whether to explain the colours and lines below the picture.

    Returns:
        The axes.

    Raises:
        ImportError: The extra ``draw`` is not installed.
        ValueError: ``edges``, ``classes``, ``labels`` or ``truth`` are invalid, or scores are NaN.
    """
    _check_homogeneous([explanation])
    matplotlib, networkx = _libraries()
    part = shown(explanation, edges)
    right = right_edges(explanation, truth)
    colours = _classes(explanation, data, classes)
    texts = _labels(explanation, labels)
    positions = layout.place(networkx, [explanation], [part])
    figure: Figure | None = None
    if ax is None:
        width, height = layout.size(positions)
        pyplot = importlib.import_module("matplotlib.pyplot")
        figure, ax = pyplot.subplots(figsize=(width, height + 1.3), layout="constrained")
    assert ax is not None
    panel(matplotlib, ax, explanation, part, positions, colours, texts, right)
    lines = captions(ax, layout.size(positions)[0], title, str(part), *note.splitlines())
    if legend:
        handles = legend_handles(matplotlib, [(explanation, part)], colours, class_names, right)
        style = {"handles": handles, "ncols": min(2, len(handles)), "frameon": False, "fontsize": 8}
        if figure is not None:
            figure.legend(loc="outside lower center", **style)
        else:  # below the lines, whatever else is in the figure
            below = {"bbox_to_anchor": (0.5, 0.0), "borderaxespad": 1.0 + 1.3 * lines}
            ax.legend(loc="upper center", **below, **style).set_in_layout(False)
    return ax


def compare(
    explanations: Mapping[str, Explanation],
    data: Data | None = None,
    *,
    edges: int = 20,
    classes: Tensor | Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    class_names: Sequence[str] = (),
    truth: Tensor | None = None,
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
    _check_homogeneous(explanations.values())
    _check_same(explanations)
    found = list(explanations.values())
    parts = [shown(explanation, edges) for explanation in found]
    colours = _classes(found[0], data, classes)
    texts = _labels(found[0], labels)
    positions = layout.place(networkx, found, parts)
    right = right_edges(found[0], truth)
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
    handles = legend_handles(
        matplotlib, zip(found, parts, strict=True), colours, class_names, right
    )
    longest = max((len(handle.get_label()) for handle in handles), default=0)
    ncols = max(1, min(len(handles), int(width * columns / (0.55 + 0.065 * longest))))
    height = rows * (height + 0.45 + 0.15 * most) + 0.2 * (len(lines) + -(-len(handles) // ncols))
    figure: Figure = matplotlib.figure.Figure((width * columns, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in panels[len(found) :]:
        ax.set_visible(False)
    for ax, name, part, text in zip(panels, explanations, parts, below, strict=False):
        panel(matplotlib, ax, explanations[name], part, positions, colours, texts, right)
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


def _check_homogeneous(explanations: Iterable[object]) -> None:
    if any(isinstance(one, HeteroExplanation) for one in explanations):
        raise ValueError(
            "explanations of heterogeneous graphs are not drawn here: use their own "
            "visualize_graph() of PyG"
        )


def _check_same(explanations: Mapping[str, Explanation]) -> None:
    if not explanations:
        raise ValueError("there is no explanation to draw; give at least one")
    (first, one), *others = explanations.items()
    for name, other in others:
        if (
            explained_nodes(one) != explained_nodes(other)
            or not torch.equal(node_ids(one), node_ids(other))
            or not torch.equal(one.edge_index, other.edge_index)
        ):
            raise ValueError(
                f"{first!r} and {name!r} do not explain the same node of the same graph; compare "
                "explanations of one node"
            )


def _classes(
    explanation: Explanation, data: Data | None, classes: Tensor | Sequence[int] | None
) -> list[int] | None:
    """The class of each of the explanation's nodes, or None if there are none."""
    ids = node_ids(explanation)
    needed = int(ids.max()) + 1 if ids.numel() else 0
    if classes is None:
        y = None if data is None else data.get("y")
        if (
            data is None
            or not explained_nodes(explanation)  # `y` is of the graphs
            or not isinstance(y, Tensor)
            or y.shape != (data.num_nodes,)
            or y.is_floating_point()
        ):
            return None
        classes = y
    values = torch.as_tensor(classes)
    if values.dim() != 1 or len(values) < needed or values.is_floating_point():
        raise ValueError(
            f"classes must be one whole number for each node of the graph, [N], got "
            f"{values.dtype} {list(values.shape)}"
        )
    return [int(value) for value in values.cpu()[ids]]


def _labels(explanation: Explanation, labels: Sequence[str] | None) -> list[str]:
    """The text at each of the explanation's nodes."""
    ids = node_ids(explanation).tolist()
    if labels is None:
        return [str(node) for node in ids]
    if len(labels) <= max(ids, default=-1):
        raise ValueError(f"{len(labels)} labels, but the graph has a node {max(ids)}; one each")
    return [str(labels[node]) for node in ids]
