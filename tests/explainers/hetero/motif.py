"""A typed motif whose effect is known: weights set by hand, so that the ground truth is provable.

An author is of class 1 if one of the papers that they wrote is both published at a marked venue and
on a marked term. A paper's hidden number is relu(marked venues + marked terms - 1), with at most
one venue and one term for each paper: 1 for both, else 0. An author's score is the sum over their
papers. So the three edges of a hit (venue to paper, term to paper, paper to author) are what class
1 is owed to, each of them is needed, and no other edge has any effect, citations included.
"""

import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphConv, HeteroConv

PUBLISHES, ON, WRITTEN, CITES = (
    ("venue", "publishes", "paper"),
    ("term", "on", "paper"),
    ("paper", "written by", "author"),
    ("paper", "cites", "paper"),
)


def motif(seed=0, authors=20, papers=4):
    """A graph, and its truth by edge type, bool [E_t]; half of the authors have a hit."""
    generator = torch.Generator().manual_seed(seed)
    total = authors * papers
    data = HeteroData()
    data["author"].x = torch.ones(authors, 1, dtype=torch.float64)
    data["paper"].x = torch.ones(total, 2, dtype=torch.float64)
    for name in ("venue", "term"):
        data[name].x = (torch.arange(8) % 2).double()[:, None]  # the mark
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
    """The rule of the module, as two layers of ``HeteroConv``; logits [N, 2] of the authors."""

    def __init__(self):
        super().__init__()
        widths = {PUBLISHES: (1, 2), ON: (1, 2), CITES: (2, 2)}
        self.first = HeteroConv({k: GraphConv(w, 1, aggr="add") for k, w in widths.items()})
        self.second = HeteroConv({WRITTEN: GraphConv((1, 1), 1, aggr="add")})
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            for layer, name in ((self.first, PUBLISHES), (self.first, ON), (self.second, WRITTEN)):
                layer.convs[name].lin_rel.weight.fill_(1)
            self.first.convs[ON].lin_rel.bias.fill_(-1)

    def forward(self, x_dict, edge_index_dict):
        papers = self.first(x_dict, edge_index_dict)["paper"].relu()
        hits = self.second({"paper": papers, "author": x_dict["author"]}, edge_index_dict)
        return torch.cat([0.5 - hits["author"], hits["author"] - 0.5], dim=1)
