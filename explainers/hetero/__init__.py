"""Heterogeneous graphs: models on ``HeteroData``, explained by type.

The types are numbered through and handled as one graph (:mod:`.schema`), which is taken apart again
whenever the model is called (:mod:`.layout`). What is explained is the user's own model: which
edges each layer's messages belong to is looked at (:mod:`.calls`), how far they come from is read
off a pass with gradients (:mod:`.depth`), and predictions on cut graphs are compared with those on
the whole graph for every node that is explained (:mod:`.problems`).
"""

from torch_geometric.data import HeteroData

from explainers.hetero.algorithm import data_of, explanation_of, nodes_and_target
from explainers.hetero.engines import ENGINES
from explainers.hetero.explanations import typed_masks
from explainers.hetero.prepared import PreparedHetero
from explainers.hetero.schema import EdgeType
from explainers.hetero.scoring import (
    edge_type_number,
    marks_over_all,
    node_type_of,
    of_edge_type,
    unions,
)
from explainers.prepare.cache import KINDS

__all__ = [
    "EdgeType",
    "PreparedHetero",
    "data_of",
    "edge_type_number",
    "explanation_of",
    "marks_over_all",
    "node_type_of",
    "nodes_and_target",
    "of_edge_type",
    "typed_masks",
    "unions",
]

PreparedHetero.engines = ENGINES
KINDS[HeteroData] = PreparedHetero
