"""Explanations of graph neural networks: every method behind one interface, on fast engines.

    method = explainers.load("integrated_gradients", n_steps=50)
    explanations = method.explain(model, data, nodes=[0, 101])

Each is a ``torch_geometric.explain.Explanation`` of one node's computation graph, or of one graph
of a batch; :func:`unit` says of which.
"""

from __future__ import annotations

from explainers._discovery import discover
from explainers._pyg import as_algorithm, to_full
from explainers.drawing import draw
from explainers.engines.base import unit
from explainers.methods import load
from explainers.prepare import forget

__version__ = "0.1.0"
__all__ = ["__version__", "as_algorithm", "available", "draw", "forget", "load", "to_full", "unit"]


def available() -> list[str]:
    """The names of all methods, sorted."""
    return list(discover("methods", "METHOD"))
