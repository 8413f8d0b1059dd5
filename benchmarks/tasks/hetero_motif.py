"""Typed motif: which author wrote a paper that is both at a marked venue and on a marked term?

The network's weights are set by hand, so that the ground truth is provable. A paper's hidden number
is relu(marked venues + marked terms - 1), with one venue and one term for each paper: 1 for both,
else 0. An author's score is the sum over their papers. So the three edges of a hit (venue to paper,
term to paper, paper to author) are what class 1 is owed to, each of them is needed, and no other
edge has any effect, citations included.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphConv

from benchmarks.tasks._definition import Dataset, Definition
from benchmarks.tasks._hetero import over_all_types
from benchmarks.tasks._hetero_models import hetero_conv
from explainers.hetero import EdgeType

PUBLISHES, ON, WRITTEN, CITES = (
    ("venue", "publishes", "paper"),
    ("term", "on", "paper"),
    ("paper", "written by", "author"),
    ("paper", "cites", "paper"),
)
AUTHORS = 200


def motif(
    seed: int = 0, authors: int = 20, papers: int = 4, dtype: torch.dtype = torch.float32
) -> tuple[HeteroData, dict[EdgeType, Tensor]]:
    """A graph, and its truth by edge type, bool [E_t]; half of the authors have a hit.

    Args:
        seed: Of the edges that have no effect.
        authors: How many.
        papers: Of each author.
        dtype: Of the features.
    """
    generator = torch.Generator().manual_seed(seed)
    total = authors * papers
    data = HeteroData()
    data["author"].x = torch.ones(authors, 1, dtype=dtype)
    data["paper"].x = torch.ones(total, 2, dtype=dtype)
    for name in ("venue", "term"):
        data[name].x = (torch.arange(8) % 2).to(dtype)[:, None]  # the mark
    # Of the papers of each author one is special: a hit for even authors, else marked once.
    paper = torch.arange(total)
    author, special = paper // papers, paper % papers == 0
    hit = special & (author % 2 == 0)
    venue_marked = hit | (special & (author % 4 == 1)) | (paper % papers == 1)
    term_marked = hit | (special & (author % 4 == 3)) | (paper % papers == 2)
    drawn = torch.randint(4, (2, total), generator=generator) * 2
    data[PUBLISHES].edge_index = torch.stack([drawn[0] + venue_marked, paper])
    data[ON].edge_index = torch.stack([drawn[1] + term_marked, paper])
    data[WRITTEN].edge_index = torch.stack([paper, author])
    data[CITES].edge_index = torch.randint(total, (2, 2 * total), generator=generator)
    data["author"].y = (torch.arange(authors) % 2 == 0).long()
    truth = {name: hit.clone() for name in (PUBLISHES, ON, WRITTEN)}
    truth[CITES] = torch.zeros(2 * total, dtype=torch.bool)
    return data, truth


class WhiteBox(nn.Module):
    """The rule of the module, as two layers of ``HeteroConv``."""

    def __init__(self) -> None:
        super().__init__()
        widths = {PUBLISHES: (1, 2), ON: (1, 2), CITES: (2, 2)}
        self.first = hetero_conv({k: GraphConv(w, 1, aggr="add") for k, w in widths.items()})
        self.second = hetero_conv({WRITTEN: GraphConv((1, 1), 1, aggr="add")})
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            for layer, name in ((self.first, PUBLISHES), (self.first, ON), (self.second, WRITTEN)):
                layer.convs[name].lin_rel.weight.fill_(1)
            self.first.convs[ON].lin_rel.bias.fill_(-1)

    def forward(
        self,
        x_dict: Mapping[str, Tensor],
        edge_index_dict: Mapping[EdgeType, Tensor],
    ) -> Tensor:
        """Scores [N, 2] of the authors: of class 1 the hits less 1/2, of class 0 the opposite."""
        papers = self.first(x_dict, edge_index_dict)["paper"].relu()
        hits = self.second({"paper": papers, "author": x_dict["author"]}, edge_index_dict)
        return torch.cat([0.5 - hits["author"], hits["author"] - 0.5], dim=1)


def build(root: Path | None) -> Dataset:
    """:data:`AUTHORS` authors with four papers each; explained are those with a hit."""
    data, truth = motif(authors=AUTHORS)
    author = data["author"]
    author.train_mask = torch.zeros(AUTHORS, dtype=torch.bool)  # nothing is trained
    author.test_mask = torch.ones(AUTHORS, dtype=torch.bool)
    return Dataset(
        data,
        provenance=(
            f"generated: {AUTHORS} authors, their papers, venues and terms, seed 0; weights set by "
            "hand"
        ),
        ground_truth=over_all_types(truth, data),
        explainable=author.y == 1,
        class_names=("no hit", "hit"),
        model=WhiteBox(),
        architecture="graph_conv",
        node_type="author",
    )


TASK = Definition(
    title="Typed motif",
    description=(
        "Authors with a paper at a marked venue and on a marked term, in a heterogeneous graph. "
        "Weights are set by hand, the edges that matter are known."
    ),
    recipe=None,
    build=build,
    hetero=True,
)
