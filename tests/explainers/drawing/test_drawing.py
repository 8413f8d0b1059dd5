"""Pictures: what they show, by the numbers in the drawing; not how they look."""

import itertools
import math
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from scipy.optimize import isotonic_regression
from torch_geometric.data import Data
from torch_geometric.explain import Explanation

import explainers
from explainers import drawing
from explainers.drawing import layout
from explainers.drawing.panel import RIGHT, colour, marker

mpl.use("agg")


def explanation(edges, scores, index=0, node_mask=None, first=10):
    """Nodes are numbered from ``first`` in the graph."""
    edge_index = torch.tensor(edges).t()
    nodes = int(edge_index.max()) + 1
    content = {} if index is None else {"index": index}
    return Explanation(
        n_id=torch.arange(first, first + nodes),
        e_id=torch.arange(len(edges)),
        edge_index=edge_index,
        edge_mask=torch.tensor(scores),
        node_mask=torch.ones(nodes, 2) if node_mask is None else torch.tensor(node_mask),
        **content,
    )


@pytest.fixture
def small():
    """Node 10 is explained; an edge against its class, one of no weight, and both directions."""
    return explanation(
        [[1, 0], [2, 0], [0, 1], [3, 1], [4, 2]],
        [2.0, -1.0, 0.5, 0.25, 0.0],
        node_mask=[[4.0, 0.0], [-1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]],
    )


def panel():
    return Figure().subplots()


def arrows(ax):
    return [
        patch
        for patch in ax.patches
        if isinstance(patch, FancyArrowPatch)
        and patch.get_arrowstyle().__class__.__name__ != "Curve"
    ]


def places(ax):
    return {text.get_text(): text.xy for text in ax.texts}


def test_the_strongest_edges_are_shown(small):
    part = drawing.shown(small, 3)
    assert part.edges == [0, 1, 2]
    assert part.nodes == [0, 1, 2]
    assert part.share == pytest.approx(3.5 / 3.75)
    assert str(part) == "3 of 5 edges drawn by absolute score, 93 % of its sum"


def test_an_edge_without_a_score_is_not_shown(small):
    part = drawing.shown(small, 20)
    assert part.edges == [0, 1, 2, 3]
    assert part.nodes == [0, 1, 2, 3]
    assert part.share == 1


def test_no_scores_at_all():
    part = drawing.shown(explanation([[1, 0]], [0.0]))
    assert (part.edges, part.nodes, part.share) == ([], [0], 0)
    assert str(part) == "0 of 1 edges drawn: none has a score"


@pytest.mark.parametrize("edges", [0, -1, 2.0, True])
def test_bad_number_of_edges(small, edges):
    with pytest.raises(ValueError, match="edges must be a whole number and at least 1, got"):
        drawing.shown(small, edges)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        drawing.shown(explanation([[1, 0], [2, 0]], [1.0, math.nan]))


def test_width_opacity_and_sign_follow_the_scores(small):
    ax = explainers.draw(small, ax=panel(), edges=4)
    drawn = arrows(ax)[::-1]  # the strongest is drawn last
    assert len(drawn) == 4
    widths = [arrow.get_linewidth() for arrow in drawn]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 4
    # Linear in the score: 2 : 1 : 0.5 : 0.25 above the least width.
    least = 2 * widths[1] - widths[0]
    assert [(width - least) / (widths[0] - least) for width in widths] == pytest.approx(
        [1, 0.5, 0.25, 0.125]
    )
    assert drawn[0].get_alpha() == 1
    solid = [arrow.get_linestyle() in ("-", "solid") for arrow in drawn]
    assert solid == [True, False, True, True]
    assert to_hex(drawn[1].get_edgecolor()) == "#d55e00"
    assert to_hex(drawn[0].get_edgecolor()) == "#000000"


def test_arrows_go_from_source_to_target(small):
    ax = explainers.draw(small, ax=panel(), edges=1)
    (arrow,) = arrows(ax)
    assert arrow._posA_posB == [places(ax)["11"], places(ax)["10"]]


def test_nodes_are_named_coloured_and_weighted(small):
    data = Data(x=torch.ones(15, 1), y=torch.tensor([0] * 10 + [1, 0, 2, 1, 1]))
    ax = explainers.draw(small, data, ax=panel(), edges=2)
    assert list(places(ax)) == ["10", "11", "12"]
    nodes = ax.collections[1::2]  # each above a white disc
    colours = [to_hex(node.get_facecolor()[0]) for node in nodes]
    assert colours == ["#e69f00", "#56b4e9", "#009e73"]
    opacity = [float(node.get_facecolor()[0][3]) for node in nodes]
    assert opacity == pytest.approx([1, 0.25 + 0.75 * 2 / 4, 0.25])
    rims = [float(node.get_linewidth()[0]) for node in nodes]
    assert rims[0] > rims[1] == rims[2]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:4] == ["class 0", "class 1", "class 2", "explained node"]
    assert labels[4:] == ["for the explained class", "against it"]
    assert "2 of 5 edges drawn by absolute score, 80 % of its sum" in ax.get_xlabel()


def test_classes_and_labels_in_place_of_the_datas(small):
    classes = [3] * 15
    labels = [f"n{i}" for i in range(15)]
    ax = explainers.draw(small, ax=panel(), classes=classes, labels=labels)
    assert set(places(ax)) == {"n10", "n11", "n12", "n13"}
    assert ax.get_legend().get_texts()[0].get_text() == "class 3"


def test_more_classes_than_colours_get_another_marker():
    kinds = {(colour(kind), marker(kind)) for kind in range(30)}
    assert len(kinds) == 30


@pytest.mark.parametrize("classes", [torch.ones(3), torch.ones(15), torch.ones(15, 2).long()])
def test_bad_classes(small, classes):
    with pytest.raises(ValueError, match="classes must be one whole number for each node"):
        explainers.draw(small, ax=panel(), classes=classes)


def test_too_few_labels(small):
    with pytest.raises(ValueError, match="3 labels, but the graph has a node 14"):
        explainers.draw(small, ax=panel(), labels=["a", "b", "c"])


def test_rings_are_the_hops(small):
    at = places(explainers.draw(small, ax=panel()))
    radius = {name: math.dist(place, at["10"]) for name, place in at.items()}
    assert radius["10"] == 0
    assert radius["11"] == pytest.approx(radius["12"])
    assert radius["13"] == pytest.approx(2 * radius["11"])
    assert at["11"][1] > at["10"][1]  # the strongest at the top
    # What hangs at 11 is on its side.
    assert math.dist(at["13"], at["11"]) < math.dist(at["13"], at["12"])


def nearest(ax):
    found = list(places(ax).values())
    return min(math.dist(one, other) for one, other in itertools.combinations(found, 2))


def diameter(ax):
    return math.sqrt(ax.collections[0].get_sizes()[0]) / 72


@pytest.mark.parametrize("count", [20, 60, 300])
@pytest.mark.parametrize("second", [0, 1])
def test_nodes_around_a_hub_do_not_overlap(second, count):
    """Neighbours of the explained node, or of its only neighbour, in a panel of a bounded size."""
    edges = [[1, 0], *([leaf, second] for leaf in range(2, count + 2))]
    ax = explainers.draw(explanation(edges, [1.0] * len(edges)), ax=panel(), edges=len(edges))
    assert len(places(ax)) == count + 2
    assert nearest(ax) > diameter(ax)
    assert ax.get_xlim()[1] - ax.get_xlim()[0] < 6.6
    full = diameter(explainers.draw(explanation([[1, 0]], [1.0]), ax=panel()))
    assert (diameter(ax) == full) == (count < 300)  # there is room


def test_nodes_that_would_overlap_move_as_little_as_they_can():
    """Isotonic regression of the angles less the gaps before them: SciPy's finds the same."""
    angles = [0.0, 0.05, 0.1, 1.0, 2.0, 2.01, 2.3, 4.0]
    gaps = 0.2 * np.arange(len(angles))
    found = layout._spread(angles, 0.2, 6.0)
    assert found == pytest.approx(isotonic_regression(np.array(angles) - gaps).x + gaps)
    assert min(b - a for a, b in itertools.pairwise(found)) > 0.2 - 1e-9
    evenly = layout._spread(angles, 0.5, 3.5)
    assert np.diff(evenly) == pytest.approx([0.5] * 7)


def bands(ax):
    return [patch for patch in ax.patches if to_hex(patch.get_edgecolor()) == RIGHT.lower()]


def test_the_ground_truth_is_marked(small):
    """Of the edges 0 and 3 one is drawn; both ends of 3 -> 1 are drawn only with it."""
    truth = torch.tensor([True, False, False, True, False])
    ax = explainers.draw(small, ax=panel(), edges=2, truth=truth)
    (band,) = bands(ax)
    assert band._posA_posB == [places(ax)["11"], places(ax)["10"]]
    assert "ground truth" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(bands(explainers.draw(small, ax=panel(), edges=4, truth=truth))) == 2
    rows = torch.zeros(15, 5, dtype=torch.bool)
    rows[10] = truth  # the explained node's
    assert len(bands(explainers.draw(small, ax=panel(), edges=4, truth=rows))) == 2
    plain = explainers.draw(small, ax=panel(), edges=2, truth=torch.zeros(5, dtype=torch.bool))
    assert not bands(plain)
    assert "ground truth" not in [text.get_text() for text in plain.get_legend().get_texts()]


def test_the_ground_truth_of_a_whole_graph_is_marked_where_nothing_is_drawn():
    found = explanation([[0, 1], [1, 2]], [1.0, 0.0], index=None, first=0)
    ax = explainers.draw(found, ax=panel(), truth=torch.tensor([False, True]))
    (band,) = bands(ax)
    assert band._posA_posB == [places(ax)["1"], places(ax)["2"]]


@pytest.mark.parametrize("truth", [torch.ones(5), torch.ones(4).bool(), torch.ones(1, 1, 5).bool()])
def test_bad_truth(small, truth):
    with pytest.raises(ValueError, match=r"truth must be torch.bool \[E\]"):
        explainers.draw(small, ax=panel(), truth=truth)


def test_classes_have_names_in_the_legend(small):
    data = Data(x=torch.ones(15, 1), y=torch.tensor([0] * 10 + [1, 0, 2, 1, 1]))
    ax = explainers.draw(small, data, ax=panel(), edges=2, class_names=["cat", "dog", "cow"])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:3] == ["cat", "dog", "cow"]


def test_what_hangs_at_a_node_is_on_its_side():
    """Edges to the only neighbour do not cross the explained node."""
    edges = [[1, 0], *([leaf, 1] for leaf in range(2, 12))]
    at = places(explainers.draw(explanation(edges, [1.0] * 11), ax=panel()))
    assert all(at[name][1] > at["10"][1] for name in at if name != "10")


def test_edges_that_lead_nowhere_near_the_node():
    """The strongest edge is two hops away; what joins it to the explained node is not drawn."""
    found = explanation([[1, 0], [2, 1], [3, 2]], [0.1, 0.2, 0.9])
    at = places(explainers.draw(found, ax=panel(), edges=1))
    assert list(at) == ["10", "12", "13"]
    assert math.dist(at["13"], at["10"]) == pytest.approx(1.5 * math.dist(at["12"], at["10"]))


def test_compared_pictures_have_the_same_layout(small):
    other = small.clone()
    other.edge_mask = torch.tensor([0.0, 0.0, 0.1, 0.2, 3.0])
    figure = drawing.compare(
        {"one": small, "two": other}, edges=2, notes={"two": "a note\nand more"}
    )
    one, two = figure.axes
    assert list(places(one)) == ["10", "11", "12"]
    assert list(places(two)) == ["10", "11", "12", "13", "14"]
    assert all(places(two)[name] == place for name, place in places(one).items())
    assert [ax.get_title() for ax in figure.axes] == ["one", "two"]
    assert two.get_xlabel().endswith("\na note\nand more")
    assert one.get_xlim() == two.get_xlim()


def test_a_long_title_keeps_to_the_figure(small):
    figure = drawing.compare({"one": small}, title="word " * 40 + "\nlast line")
    figure.draw_without_rendering()
    (title,) = figure.texts
    assert title.get_text().endswith("\nlast line")
    assert title.get_window_extent().width < figure.bbox.width


def test_only_explanations_of_one_node_are_compared(small):
    other = small.clone()
    other.index = 1
    with pytest.raises(ValueError, match="'one' and 'two' do not explain the same node"):
        drawing.compare({"one": small, "two": other})
    with pytest.raises(ValueError, match="no explanation to draw"):
        drawing.compare({})


def test_a_whole_graph_is_drawn_with_all_its_nodes():
    """A ring of six and two nodes apart from it; nothing marks an explained node."""
    ring = [[i, (i + 1) % 6] for i in range(6)]
    found = explanation([*ring, [6, 7]], [0.0, 1.0, 0, 0, 0, 0, 0], index=None, first=0)
    ax = explainers.draw(found, ax=panel())
    at = places(ax)
    assert sorted(at) == [str(i) for i in range(8)]
    assert len(arrows(ax)) == 1
    assert min(math.dist(at[a], at[b]) for a in at for b in at if a != b) > 0.3
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "explained node" not in labels


def test_an_explanation_of_the_library_and_one_of_pyg(graph, model):
    (ours,) = explainers.load("saliency").explain(model, graph, 0)
    nodes, edges = explainers.to_full(ours, graph)
    pyg = Explanation(
        x=graph.x, edge_index=graph.edge_index, node_mask=nodes, edge_mask=edges, index=0
    )
    one = explainers.draw(ours, graph, ax=panel(), edges=5)
    two = explainers.draw(pyg, graph, ax=panel(), edges=5)
    assert list(places(one)) == list(places(two))
    assert len(arrows(one)) == len(arrows(two)) == 5


def test_a_figure_of_its_own(small):
    """The legend takes no room from the panel, which keeps the size that its nodes need."""
    from matplotlib import pyplot

    ax = explainers.draw(small)
    assert ax.figure in [pyplot.figure(number) for number in pyplot.get_fignums()]
    ax.figure.draw_without_rendering()
    inches = ax.get_window_extent().height / ax.figure.dpi
    assert inches > 0.9 * (ax.get_ylim()[1] - ax.get_ylim()[0])  # a unit of the panel is an inch
    assert ax.figure.legends
    pyplot.close(ax.figure)


def test_an_edge_goes_around_a_node_on_its_way():
    """1 and 2 are on both sides of the explained node; an edge between them would be hidden."""
    found = explanation([[1, 0], [2, 0], [1, 2]], [1.0, 1.0, 1.0])
    ax = explainers.draw(found, ax=panel())
    ways = {tuple(arrow._posA_posB): arrow for arrow in arrows(ax)}
    at = places(ax)
    bent = ways[at["11"], at["12"]].get_path().vertices
    assert min(math.dist(point, at["10"]) for point in bent[1:-1]) > 0.3
    assert ways[at["11"], at["10"]].get_connectionstyle().rad == 0


def test_the_library_itself_needs_no_drawing_library():
    program = "import sys, explainers; print({'matplotlib', 'networkx'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_extra_is_named(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ImportError, match=r"extra `draw`: python -m pip install"):
        explainers.draw(small)


def test_a_link_has_its_two_ends_in_the_middle():
    """Opposite each other, with a dotted line between them; rings are the hops to the nearer."""
    link = explanation([[2, 0], [3, 1], [4, 2], [2, 1]], [1.0, 0.5, 0.25, 0.1], index=None)
    link.edge_label_index, link.link = torch.tensor([[0], [1]]), torch.tensor(0)
    truth = torch.zeros(2, 4, dtype=torch.bool)
    truth[0, 1] = True
    ax = drawing.draw(link, truth=truth)
    positions = layout.place(drawing.figure._libraries()[1], [link], [drawing.select.shown(link)])
    assert set(positions) == {0, 1, 2, 3, 4}
    far = {node: math.hypot(*place) for node, place in positions.items()}
    assert far[0] == pytest.approx(far[1])
    assert math.dist(positions[0], positions[1]) == pytest.approx(2 * far[0])
    assert far[0] < far[2] < far[4]
    (line,) = ax.lines
    ends = np.array([positions[0], positions[1]])
    np.testing.assert_allclose(np.stack(line.get_data(), axis=1), ends)
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert "ends of the explained link" in texts
    assert "explained link" in texts
    assert "ground truth" in texts
    with pytest.raises(ValueError, match="do not explain the same node"):
        drawing.compare({"one": link, "other": explanation([[1, 0]], [1.0])})
