"""Pictures of heterogeneous explanations, by the numbers in the drawing."""

import matplotlib as mpl
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation, HeteroExplanation

import explainers
from benchmarks.tasks.hetero_motif import WhiteBox, motif
from explainers import drawing
from explainers.drawing.panel import COLOURS, RELATIONS

from .test_drawing import arrows, bands, panel

mpl.use("agg")
WRITES, REVIEWS, CITES = (
    ("author", "writes", "paper"),
    ("author", "reviews", "paper"),
    ("paper", "cites", "paper"),
)


def typed(masks=((2.0, -0.5), (1.0,), (-3.0, 0.1, 0.0))):
    """Paper 7 is explained; author 4 writes it and reviews it."""
    made = HeteroExplanation()
    made["author"].n_id, made["author"].node_mask = torch.tensor([4, 6]), torch.ones(2, 3)
    made["paper"].n_id, made["paper"].node_mask = torch.tensor([4, 7, 9]), torch.ones(3, 2)
    ends = ([[0, 1], [1, 0]], [[0], [1]], [[0, 2, 2], [1, 0, 1]])
    for edge_type, edge_index, mask in zip((WRITES, REVIEWS, CITES), ends, masks, strict=True):
        made[edge_type].edge_index = torch.tensor(edge_index)
        made[edge_type].edge_mask = torch.tensor(mask)
        made[edge_type].e_id = torch.arange(len(mask)) + 10
    made.node_type, made.index = "paper", torch.tensor(1)
    return made


def style(patch):
    return to_hex(patch.get_edgecolor()).upper(), patch.get_linestyle() != "-"


def test_edges_have_the_colour_of_their_type_and_are_ranked_over_all_types():
    ax = drawing.draw(typed(), ax=panel(), edges=4)
    drawn = sorted(arrows(ax), key=lambda patch: -patch.get_linewidth())
    blue, red, green = RELATIONS[:3]
    assert [style(one) for one in drawn] == [
        *((green, True), (blue, False), (red, False), (blue, True))
    ]
    # Two of them join the same nodes; one is drawn beside the other.
    same = [one.get_connectionstyle().rad for one in drawn[1:3]]
    assert same[0] != same[1]
    # Only the largest scores are drawn, wherever they are.
    (first,) = arrows(drawing.draw(typed(), ax=panel(), edges=1))
    assert style(first)[0] == green


def test_nodes_have_the_colour_and_shape_of_their_type_and_their_number_in_it():
    ax = drawing.draw(typed(), ax=panel())
    names = sorted(text.get_text() for text in ax.texts)
    assert names == ["4", "4", "6", "7", "9"]
    places = [tuple(text.xy) for text in ax.texts if text.get_text() == "4"]
    found = {}
    for one in ax.collections:
        if to_hex(one.get_facecolor()[0]).upper() != "#FFFFFF":
            corners = len(one.get_paths()[0].vertices)
            where = tuple(one.get_offsets()[0])
            found[where] = to_hex(one.get_facecolor()[0]).upper(), corners
    assert [found[place][0] for place in places] == list(COLOURS[:2])
    assert found[places[0]][1] != found[places[1]][1]


def test_the_legend_names_what_is_drawn_and_nothing_else():
    def legend(**options):
        ax = drawing.draw(typed(), ax=panel(), **options)
        return [text.get_text() for text in ax.get_legend().get_texts()]

    ends = ["for the explained class", "against it"]
    kinds = [f"{a} – {b} → {c}" for a, b, c in (WRITES, REVIEWS, CITES)]
    assert legend() == ["author", "paper", "explained node", *kinds, *ends]
    assert legend(edges=1) == ["paper", "explained node", kinds[2], *ends]


def test_labels_and_ground_truth_by_type():
    truth = {WRITES: torch.zeros(12, dtype=torch.bool)}
    truth[WRITES][11] = True
    ax = drawing.draw(typed(), ax=panel(), labels={"author": list("abcdefg")}, truth=truth)
    assert sorted(text.get_text() for text in ax.texts) == ["4", "7", "9", "e", "g"]
    assert len(bands(ax)) == 1
    # A row for each node of the explained type, as metrics take it; paper 7 has its own.
    for row, marked in ((7, 1), (6, 0)):
        rows = torch.zeros(10, 12, dtype=torch.bool)
        rows[row, 11] = True
        assert len(bands(drawing.draw(typed(), ax=panel(), truth={WRITES: rows}))) == marked


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"labels": ["a"] * 10},
            "labels of a heterogeneous graph must be a dict by type, got list",
        ),
        ({"truth": torch.ones(3).bool()}, "truth of a heterogeneous graph must be a dict"),
        ({"classes": [0, 1]}, "classes: .* coloured by their type"),
        ({"labels": {"paper": ["a"]}}, "1 labels, but the graph has a node 9 of type 'paper'"),
    ],
)
def test_what_is_not_by_type_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        drawing.draw(typed(), ax=panel(), **options)


def test_an_explanation_of_one_type_takes_nothing_by_type():
    plain = Explanation(
        edge_index=torch.tensor([[0], [1]]), edge_mask=torch.ones(1), x=torch.ones(2, 1), index=0
    )
    with pytest.raises(ValueError, match="data is a HeteroData"):
        drawing.draw(plain, HeteroData(), ax=panel())
    with pytest.raises(ValueError, match="labels and truth by type"):
        drawing.draw(plain, Data(), ax=panel(), labels={"paper": []})


def test_compared_are_explanations_of_one_node():
    other = typed()
    other["author"].n_id = torch.tensor([5, 6])
    with pytest.raises(ValueError, match="do not explain the same node"):
        drawing.compare({"a": typed(), "b": other})
    figure = drawing.compare({"a": typed(), "b": typed(((0.0, 0.0), (0.0,), (1.0, 0.0, 0.0)))})
    assert isinstance(figure, Figure)
    assert [len(arrows(ax)) for ax in figure.axes] == [5, 1]


def test_the_hit_of_an_author_is_what_is_drawn():
    """The library's explanation of a model whose truth is known: three edges of three types."""
    data, truth = motif()
    method = explainers.load("saliency")
    (found,) = method.explain(WhiteBox(), data, ("author", [0]))
    ax = drawing.draw(found, data, ax=panel(), truth=truth)
    assert len({style(one)[0] for one in arrows(ax)}) == 3
    assert len(bands(ax)) == len(arrows(ax)) == 3
