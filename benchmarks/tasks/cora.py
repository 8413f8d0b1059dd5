"""Cora: a citation network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch_geometric.utils import add_self_loops, coalesce, degree

from benchmarks.tasks._definition import Dataset
from benchmarks.tasks._planetoid import RECIPE, planetoid

# The files have no names. Of the original `cora.content` it is known how many papers each topic has
# (818 on neural networks, 426, 418, 351, 298, 217 and 180), which tells the classes apart.
TOPICS = (
    *("Theory", "Reinforcement learning", "Genetic algorithms", "Neural networks"),
    *("Probabilistic methods", "Case-based", "Rule learning"),
)
CORA = planetoid(
    "Cora",
    title="Cora",
    description="Citations among 2,708 papers on machine learning; the class is one of 7 topics.",
    # kimiyoung/planetoid at commit af6abf468a772cc055bec88c52e4d6f51b7c37e3
    pins={
        "allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        "tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    },
    class_names=TOPICS,
)


def graphframex(root: Path | None) -> Dataset:
    """Cora as Amara et al., "GraphFramEx", arXiv:2206.09677, take it; from their code.

    Every node has a self loop among the edges, each edge the weight of one over its target's
    degree, which nothing changes when edges are taken away; features are 0 and 1.
    """
    dataset = CORA.build(root)
    data = dataset.data.clone()
    edges = coalesce(add_self_loops(data.edge_index, num_nodes=data.num_nodes)[0])
    data.x, data.edge_index = (data.x > 0).float(), edges
    data.edge_weight = 1 / degree(edges[1], data.num_nodes, torch.float32)[edges[1]]
    return dataclasses.replace(
        dataset,
        data=data,
        provenance=f"{dataset.provenance}; self loops, weights and features as in GraphFramEx",
        loops=True,
    )


TASK = dataclasses.replace(
    CORA,
    variants={
        "graphframex": dataclasses.replace(
            CORA,
            title="Cora, GraphFramEx",
            description=f"{CORA.description} Self loops are edges, rows of the adjacency matrix "
            "sum to 1, as in GraphFramEx.",
            recipe=dataclasses.replace(
                RECIPE,
                source="GraphFramEx, code/utils/parser_utils.py (June 2022); theirs is trained on "
                "the probabilities, not on their logarithms",
                normalize=False,
            ),
            build=graphframex,
        )
    },
)
