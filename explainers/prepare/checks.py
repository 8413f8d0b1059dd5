"""What the data must be, and what of them a model is called with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from explainers import _compat
from explainers.prepare.copies import usable

# Edge-level inputs: passed on by keyword if the data have them and the model takes them.
EDGE_INPUTS = ("edge_weight", "edge_attr", "edge_type")
PASSED = (*EDGE_INPUTS, "batch", "edge_label_index")


def check_data(data: Data) -> None:
    """Checks features and edges.

    Raises:
        ValueError: They are not as :meth:`explainers.methods.Method.explain` takes them.
    """
    x, edge_index = data.get("x"), data.get("edge_index")
    _check_features(x)
    if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
        kind = edge_index.layout if isinstance(edge_index, Tensor) else type(edge_index).__name__
        raise ValueError(
            f"data.edge_index must be a dense int64 tensor [2, E], got {kind}; a sparse adjacency "
            "matrix has no edges in an order: convert it with "
            "torch_geometric.utils.to_edge_index"
        )
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(
            f"data.edge_index must be an int64 tensor [2, E], got {list(edge_index.shape)}"
        )
    if edge_index.dtype != torch.int64:
        raise ValueError(f"data.edge_index must be int64, got {edge_index.dtype}")
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < x.size(0):
        raise ValueError(
            f"data.edge_index names nodes {int(edge_index.min())} to {int(edge_index.max())}, but "
            f"data.x has nodes 0 to {x.size(0) - 1}"
        )
    if edge_index.device != x.device:
        raise ValueError(
            f"data.x is on {x.device} and data.edge_index on {edge_index.device}; put both on one"
        )


def _check_features(x: Any) -> None:
    if isinstance(x, Tensor) and x.layout != torch.strided:
        raise ValueError(
            f"data.x is {x.layout}, whose zeros have no scores; convert it with x.to_dense()"
        )
    if not isinstance(x, Tensor) or x.dim() != 2 or not x.numel() or x.is_complex():
        got = f"{x.dtype} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"data.x must be node features [N, F] with N and F at least 1, got {got}")
    if not bool(x.isfinite().all()):
        bad = int((~x.isfinite()).any(dim=1).nonzero()[0])
        raise ValueError(
            f"data.x has NaN or infinite features (first at node {bad}); replace them before "
            "explaining, for example with torch.nan_to_num"
        )


def check_names(
    model: nn.Module, attributes: Mapping[str, Any], passed: Sequence[str] = PASSED
) -> None:
    """Checks that the model is called with all that it has a name for and the data have.

    Args:
        model: Not wrapped.
        attributes: Of the data, by the names that a model would have for them.
        passed: What it may be called with by keyword, besides its first two arguments.

    Raises:
        ValueError: It takes more, so that another model than the user's would be explained.
    """
    left_out = [
        name for name in further_names(model, passed) if isinstance(attributes.get(name), Tensor)
    ]
    if left_out:
        one, their = left_out[0], " and ".join(left_out)
        raise ValueError(
            f"{type(model).__name__}.forward takes {their}, which the data have; what is explained "
            f"is called with x, edge_index and {', '.join(passed)} only. Put {one} into data.x and "
            f"take it out of x in forward, hold it in the model, or take data.{one} away if "
            "the model is called without"
        )


def further_names(model: nn.Module, passed: Sequence[str] = PASSED) -> list[str]:
    """What the model takes besides its first two arguments and what is ``passed``."""
    return [name for name in _names(model)[2:] if name not in ("x", "edge_index", *passed)]


def _names(model: nn.Module) -> list[str]:
    """What the model's ``forward`` takes, as far as it can be seen, in its order."""
    inputs = _compat.named_inputs(model)
    if inputs is not None:
        return inputs
    kinds = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    parameters = inspect.signature(model.forward).parameters.values()
    named = [one.name for one in parameters if one.kind not in kinds]
    children = list(model.children())
    if len(named) < len(parameters) and len(children) == 1:
        named += _names(children[0])[len(named) :]
    return named


def edge_inputs(model: nn.Module, data: Data) -> dict[str, Tensor]:
    """The edge-level inputs that the data have and the model takes, by keyword, each [E, ...].

    Raises:
        ValueError: One has not a row for each edge, is not finite, or the model hides whether it
            takes it.
    """
    present = {name: data.get(name) for name in EDGE_INPUTS if data.get(name) is not None}
    taken = _keywords(model, [*present])
    edges = data.edge_index.size(1)
    inputs = {}
    for name, value in present.items():
        if name not in taken:
            continue
        if not isinstance(value, Tensor) or value.dim() == 0 or value.size(0) != edges:
            raise ValueError(f"data.{name} must have one row for each of the {edges} edges")
        if value.layout != torch.strided:
            raise ValueError(f"data.{name} is {value.layout}; convert it with .to_dense()")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"data.{name} has NaN or infinite values; clean it first")
        inputs[name] = usable(value)
    return inputs


def graph_of_each_node(model: nn.Module, data: Data) -> Tensor | None:
    """``data.batch`` [N], if there is one and the model takes it, else None.

    Raises:
        ValueError: It does not number the graphs of a batch.
    """
    batch = data.get("batch")
    if batch is None or "batch" not in _keywords(model, ["batch"]):
        return None
    nodes, x = data.x.size(0), data.x
    if not isinstance(batch, Tensor) or batch.dtype != torch.int64 or batch.shape != (nodes,):
        raise ValueError(f"data.batch must be an int64 tensor [{nodes}], the graph of each node")
    if batch.device != x.device:
        raise ValueError(
            f"data.x is on {x.device} and data.batch on {batch.device}; put both on one"
        )
    if int(batch.min()) < 0 or not bool(torch.bincount(batch).all()):
        raise ValueError(
            "data.batch must number the graphs from 0 without a gap: every graph needs a node"
        )
    across = (batch[data.edge_index[0]] != batch[data.edge_index[1]]).nonzero()
    if across.numel():
        raise ValueError(
            f"edge {int(across[0])} of data.edge_index joins two graphs of data.batch; make the "
            "batch with torch_geometric.data.Batch.from_data_list"
        )
    return usable(batch)


def links_of(model: nn.Module, data: Data, edges: Any = None) -> Tensor | None:
    """The links to predict, int64 [2, R]: ``edges``, else ``data.edge_label_index``, else None.

    Those of the data only if the model takes ``edge_label_index``.

    Raises:
        ValueError: They are no pairs of nodes of the graph, or the model cannot be asked for links.
    """
    given, name = edges is not None, "edges" if edges is not None else "data.edge_label_index"
    links = edges if given else data.get("edge_label_index")
    if links is None:
        return None
    if "edge_label_index" not in _keywords(model, ["edge_label_index"]):
        if not given:
            return None
        raise ValueError(
            f"edges: {type(model).__name__}.forward takes no edge_label_index, by which a model is "
            "asked for links; write forward(x, edge_index, edge_label_index) so that it returns a "
            "row for each link, or explain nodes"
        )
    if not isinstance(links, Tensor) or links.dtype != torch.int64:
        kind = links.dtype if isinstance(links, Tensor) else type(links).__name__
        raise ValueError(f"{name} must be an int64 tensor [2, R], one column a link, got {kind}")
    links = links[:, None] if links.shape == (2,) else links
    if links.dim() != 2 or links.size(0) != 2:
        raise ValueError(
            f"{name} must be an int64 tensor [2, R], one column a link, got {list(links.shape)}"
        )
    nodes = data.x.size(0)
    if links.numel() and not 0 <= int(links.min()) <= int(links.max()) < nodes:
        raise ValueError(
            f"{name} names nodes {int(links.min())} to {int(links.max())}, but data.x has nodes 0 "
            f"to {nodes - 1}"
        )
    if not links.size(1):
        raise ValueError(f"{name} has no link; give at least one column")
    return usable(links).to(data.x.device)


def _keywords(model: nn.Module, wanted: list[str]) -> set[str]:
    """Which of the ``wanted`` keywords the model's ``forward`` takes.

    One that passes on whatever it gets, ``forward(*args, **kwargs)``, takes what the one module
    inside of it takes.

    Raises:
        ValueError: ``forward`` hides which inputs it takes, and it may be called with some.
    """
    inputs = _compat.named_inputs(model)
    if inputs is not None:
        return {name for name in wanted if name in inputs}
    parameters = inspect.signature(model.forward).parameters
    named = {name for name in wanted if name in parameters}
    kinds = {parameter.kind for parameter in parameters.values()}
    hidden = [name for name in wanted if name not in named]
    if not hidden or not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        return named
    children = list(model.children())
    inside = _keywords(children[0], hidden) if len(children) == 1 else None
    if inside is not None and (not inside or inspect.Parameter.VAR_KEYWORD in kinds):
        return named | inside
    raise ValueError(
        f"{type(model).__name__}.forward{inspect.signature(model.forward)} hides whether it takes "
        f"{' and '.join(hidden)}, which the data have; name the keywords that it takes in its "
        "signature, or take the others out of the data"
    )
