"""A model and a graph, checked once and made ready to be explained many times.

Everything is done on private copies of the model that share its weights: whatever an explainer sets
on the layers, the user's model never sees it (PyG issue 9653: after ``GNNExplainer``, a registered
``_edge_mask`` makes Captum fail on the same model).
"""

from __future__ import annotations

import copy
import inspect
import weakref
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain.config import ModelReturnType
from torch_geometric.nn import GCNConv, MessagePassing
from torch_geometric.utils import add_remaining_self_loops

from explainers.prepare.computation_graph import CSC, BatchIndex, ComputationGraphs, cut

# Edge-level inputs: passed on by keyword if the data have them and the model takes them.
EDGE_INPUTS = ("edge_weight", "edge_attr")


class PreparedModel:
    """A model on a graph, or on the graphs of a batch; made by :func:`prepare`.

    Level. What is explained is a node (the model returns one row for each node) or a graph
    (``data`` has ``batch``, the graph of each node, which the model takes by keyword, and it
    returns one row for each graph). Nodes and graphs are the network's *units*. Graphs are
    explained one by one, as if each were alone.

    Self loops. PyG multiplies an edge mask onto the messages by position, and layers such as
    GCNConv put self loops of their own behind the edges: with loops in ``edge_index`` the mask may
    land on the wrong edges. If every layer adds its own loops, those of the graph are taken out
    (they are never explained; GCNConv's normalisation still counts them). If no layer does, they
    are edges like any other.

    Attributes:
        model: A private copy, in eval mode; its parameters require no gradient.
        layers: Its message-passing layers.
        x: Node features [N, F].
        edge_index: The edges that are explained, [2, E'].
        e_id: Their ids in the graph as given [E'], or None if nothing was taken out.
        inputs: Edge-level inputs by keyword, each [E', ...].
        batch: The graph of each node [N] if the data have it and the model takes it, else None.
        level: ``"node"`` or ``"graph"``.
        given: ``edge_index`` [2, E] and the inputs [E, ...] with nothing taken out.
        hops: Message-passing steps of one forward pass: the radius of a computation graph.
        output: The model's output on the whole graph [N, C], or for each graph [G, C].
        return_type: Whether that is log-probabilities, probabilities or raw scores.

    Raises:
        ValueError: The model, the data or the two together cannot be explained; says why.
    """

    def __init__(self, model: nn.Module, data: Data) -> None:
        _check_data(data)
        name = type(model).__name__
        self.x = _usable(data.x)
        self.edge_index = _usable(data.edge_index)
        self.inputs = _edge_inputs(model, data)
        self.batch = _batch(model, data)
        self.model = private_copy(model)
        self.layers = message_passing(self.model)
        if not self.layers:
            raise ValueError(
                f"model {name} has no torch_geometric MessagePassing layer: there is no edge to "
                "explain; build it from PyG's layers"
            )
        for layer in self.layers:
            if layer.flow != "source_to_target":
                raise ValueError(
                    f"layer {type(layer).__name__} of model {name} has flow={layer.flow!r}; only "
                    "'source_to_target' can be explained: turn edge_index around instead"
                )
        self.given = self.edge_index, self.inputs
        self.e_id: Tensor | None = None
        self._weights: dict[tuple[bool, bool], tuple[Tensor, Tensor]] = {}
        self._norms: dict[tuple[bool, bool], tuple[Tensor, Tensor]] = {}
        self._take_out_self_loops()
        self.output, self.hops = self._probe(name)
        self.task_level = "graph" if len(self.output) == self._graphs else "node"
        self.return_type = return_type(self.output)
        if self.task_level == "graph" and self.units > 1:
            self._check_independence(name)

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.x.size(0)

    @property
    def units(self) -> int:
        """How many nodes or graphs there are to explain."""
        return self.output.size(0)

    @property
    def keywords(self) -> dict[str, Tensor]:
        """All that the model takes by keyword: the edge-level inputs, and the batch."""
        return self.inputs if self.batch is None else {**self.inputs, "batch": self.batch}

    @cached_property
    def index(self) -> CSC:
        """The edges by destination; built once a graph."""
        return CSC(self.edge_index, self.num_nodes)

    @cached_property
    def batch_index(self) -> BatchIndex:
        """The graphs of the batch; built once."""
        assert self.batch is not None
        return BatchIndex(self.edge_index, self.batch)

    def cut(self, units: Tensor) -> ComputationGraphs:
        """The computation graphs of ``units`` [R]."""
        if self.task_level == "graph":
            return self.batch_index.cut(units)
        return cut(self.index, units, self.hops)

    @cached_property
    def bytes_per_unit(self) -> Tensor:
        """Roughly what one pass forwards and backwards over each unit's field takes, in bytes."""
        graph = self.task_level == "graph"
        size = self.batch_index.sizes() if graph else self.index.size_bound(self.hops)
        widths = [max(p.shape) for p in self.model.parameters() if p.dim() == 2]
        per_edge = 4 * (self.x.size(1) + 2 * sum(widths)) * self.x.element_size()
        return (size + 1).cpu() * per_edge

    def alone(self, graph: int) -> PreparedModel:
        """One graph of the batch as a network of its own, sharing the model."""
        assert self.batch is not None
        nodes = self.batch == graph
        edge_index, inputs = self.given
        edges = nodes[edge_index[0]]
        position = nodes.cumsum(0) - 1
        data = Data(
            x=self.x[nodes],
            edge_index=position[edge_index[:, edges]],
            batch=torch.zeros_like(self.batch[nodes]),
            **{name: value[edges] for name, value in inputs.items()},
        )
        return PreparedModel(self.model, data)

    @cached_property
    def probabilities(self) -> Tensor:
        """The model's class probabilities for each unit, float64 [N, C] or [G, C]."""
        return to_probabilities(self.output, self.return_type)

    def weights(self, layer: GCNConv) -> tuple[Tensor, Tensor]:
        """What a GCNConv normalises: weights of edges [E'] and of its self loops, [N] or [0]."""
        return self._weights[layer.improved, layer.add_self_loops]

    def norm(self, layer: GCNConv) -> tuple[Tensor, Tensor]:
        """A GCNConv's normalised weights on the whole graph, as :meth:`weights`.

        Kipf and Welling, arXiv:1609.02907, eq. 2.
        """
        key = (layer.improved, layer.add_self_loops)
        if key not in self._norms:
            edges, loops = self.weights(layer)
            degree = self.degree(layer)
            self._norms[key] = normalise(edges, loops, self.edge_index, degree)
        return self._norms[key]

    def degree(self, layer: GCNConv) -> Tensor:
        """The weighted in-degrees by which a GCNConv normalises, its self loops included, [N]."""
        edges, loops = self.weights(layer)
        degree = edges.new_zeros(self.num_nodes).index_add_(0, self.edge_index[1], edges)
        return degree + loops if len(loops) else degree

    def whole(self) -> nn.Module:
        """Another private copy that computes on the whole graph ``(x, edge_index, **keywords)``."""
        model = private_copy(self.model)
        if self.e_id is None:
            return model
        loops = torch.arange(self.num_nodes, device=self.x.device).expand(2, -1)
        for layer in filter(is_normalised, message_passing(model)):
            edges, own = self.norm(layer)
            # Without the graph's own loops GCNConv would not know their weights.
            layer._cached_edge_index = (
                torch.cat([self.edge_index, loops], dim=1),
                torch.cat([edges, own]),
            )
        return model

    def _take_out_self_loops(self) -> None:
        own = [owns_loops(layer) for layer in self.layers]
        loops = self.edge_index[0] == self.edge_index[1]
        if any(own) and not all(own) and bool(loops.any()):
            raise ValueError(
                f"edge_index has {int(loops.sum())} self loops, which some of the model's layers "
                "replace by their own (add_self_loops=True) and others do not: a mask over the "
                "edges would mean different edges in different layers; remove the loops with "
                "torch_geometric.utils.remove_self_loops"
            )
        # With the graph's loops still there: GCNConv lets them keep their weights.
        for layer in filter(is_normalised, self.layers):
            index, weight = self.edge_index, self.inputs.get("edge_weight")
            if layer.add_self_loops:
                fill = 2.0 if layer.improved else 1.0
                index, weight = add_remaining_self_loops(index, weight, fill, self.num_nodes)
            if weight is None:  # as in gcn_norm: without weights, `improved` changes nothing
                weight = self.x.new_ones(index.size(1))
            edges = index.size(1) - layer.add_self_loops * self.num_nodes
            self._weights[layer.improved, layer.add_self_loops] = weight[:edges], weight[edges:]
        if any(own) and bool(loops.any()):
            self.e_id = (~loops).nonzero().view(-1)
            self.edge_index = self.edge_index[:, self.e_id].contiguous()
            self.inputs = {name: value[self.e_id] for name, value in self.inputs.items()}

    def _probe(self, name: str) -> tuple[Tensor, int]:
        """The output on the whole graph, and how many message-passing steps lead to it."""
        steps = []
        model = self.whole()
        for layer in message_passing(model):
            layer.register_propagate_forward_pre_hook(lambda *_: steps.append(1))
        with torch.no_grad():
            try:
                output = model(self.x, self.edge_index, **self.keywords)
            except Exception as error:
                raise ValueError(
                    f"model {name} fails when called as model(x, edge_index"
                    f"{''.join(f', {key}=...' for key in self.keywords)}) with x "
                    f"{list(self.x.shape)} and edge_index {list(self.edge_index.shape)}: {error}"
                ) from error
        rows = {self.num_nodes, self._graphs}
        if not isinstance(output, Tensor) or output.dim() != 2 or output.size(0) not in rows:
            shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            graphs = (
                "explain graphs with a model that takes batch=..., and data.batch"
                if self.batch is None
                else f"a graph-level one [G, C] with G = {self._graphs}"
            )
            raise ValueError(
                f"model {name} returned {shape}; a node-level explanation needs an output [N, C] "
                f"with N = {self.num_nodes}; {graphs}"
            )
        if not bool(output.isfinite().all()):
            raise ValueError(f"model {name} returned NaN or infinite outputs; check its weights")
        return output, len(steps)

    @property
    def _graphs(self) -> int:
        """Graphs in the batch; 0 without one."""
        return 0 if self.batch is None else int(self.batch.max()) + 1

    def _check_independence(self, name: str) -> None:
        """A graph's output is to be its own: what else would its explanation be of?"""
        here, alone = self.output[0], self.alone(0).output[0]
        if not alike(alone, here):
            raise ValueError(
                f"model {name} gives graph 0 of the batch another output if the others are gone "
                f"(by {float((alone - here).abs().max()):.1e}): some layer mixes the graphs; hand "
                "batch on to every layer that normalises or pools, or explain a batch of one graph"
            )


GRAPHS_KEPT = 4  # for each model
_PREPARED: weakref.WeakKeyDictionary[nn.Module, dict[int, tuple[Any, list[Tensor], PreparedModel]]]
_PREPARED = weakref.WeakKeyDictionary()


def prepare(model: nn.Module, data: Data) -> PreparedModel:
    """The :class:`PreparedModel` of a model and a graph; made once, until either changes.

    A change is noticed in the model's weights and buffers, and in the tensors of ``data`` (replaced
    or written to). Whoever changes anything else about a model, such as a layer's options, gives a
    new model object.

    Raises:
        ValueError: As :class:`PreparedModel`.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is to be a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(data, Data):
        raise ValueError(f"data is to be a torch_geometric.data.Data, got {type(data).__name__}")
    given = [data.get(name) for name in ("x", "edge_index", "batch", *EDGE_INPUTS)]
    tensors = [tensor for tensor in given if isinstance(tensor, Tensor)]
    tensors += [*model.parameters(), *model.buffers()]
    state = tuple((id(t), t.data_ptr(), _version(t), t.shape) for t in tensors)
    known_graphs = _PREPARED.setdefault(model, {})
    known = known_graphs.pop(id(data), None)
    if known is None or known[0] != state:
        with torch.inference_mode(False):
            # The tensors are kept, so that no other can get their addresses.
            known = state, tensors, PreparedModel(model, data)
    known_graphs[id(data)] = known
    if len(known_graphs) > GRAPHS_KEPT:
        del known_graphs[next(iter(known_graphs))]
    return known[2]


def forget(model: nn.Module) -> None:
    """Lets the next :func:`prepare` begin anew, for a model of which more has changed than that."""
    _PREPARED.pop(model, None)


def private_copy(model: nn.Module) -> nn.Module:
    """A copy that shares the weights, in eval mode, without caches and explainers' remains.

    Raises:
        ValueError: The model cannot be copied.
    """
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(_usable(parameter), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer
    try:
        copied = copy.deepcopy(model, memo).eval()
    except Exception as error:
        raise ValueError(
            f"model {type(model).__name__} cannot be copied with copy.deepcopy, which keeps "
            f"explainers from changing it: {error}"
        ) from error
    for layer in message_passing(copied):
        if getattr(layer, "cached", False):  # it would ignore a changed edge_index
            layer.cached = False
        for name in ("_cached_edge_index", "_cached_adj_t", "_cached_x", "_cached_h"):
            if getattr(layer, name, None) is not None:
                setattr(layer, name, None)
        layer._parameters.pop("_edge_mask", None)
        layer._edge_mask = None
        if layer.explain:
            layer.explain = None
    return copied


def message_passing(model: nn.Module) -> list[MessagePassing]:
    """The message-passing layers of a model."""
    return [part for part in model.modules() if isinstance(part, MessagePassing)]


def owns_loops(layer: MessagePassing) -> bool:
    """Whether the layer puts self loops of its own behind the edges."""
    return bool(getattr(layer, "add_self_loops", False))


def is_normalised(layer: MessagePassing) -> bool:
    """Whether the layer weighs edges by degrees, which a cut graph would get wrong."""
    return isinstance(layer, GCNConv) and layer.normalize


def normalise(
    edges: Tensor, loops: Tensor, edge_index: Tensor, degree: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights of edges [..., E] and self loops ([N] or [0]), over the roots of both degrees.

    ``degree`` is [..., N]; so are the loops of the result, if there are any.
    """
    scale = degree.pow(-0.5)
    scale = scale.masked_fill(scale.isinf(), 0)
    edges = scale[..., edge_index[0]] * edges * scale[..., edge_index[1]]
    return edges, loops * scale * scale if len(loops) else loops


def return_type(output: Tensor) -> ModelReturnType:
    """What the numbers are, from the numbers: [N, C] that sum to one in each row, or whose exp do.

    A single column has no probabilities: it counts as raw.
    """
    output = output.double()
    tolerance = 1e-4
    if output.size(-1) > 1 and output.numel():
        if bool((output <= tolerance).all()) and _close_to_one(output.exp().sum(-1), tolerance):
            return ModelReturnType.log_probs
        if bool((output >= 0).all()) and _close_to_one(output.sum(-1), tolerance):
            return ModelReturnType.probs
    return ModelReturnType.raw


def to_probabilities(output: Tensor, kind: ModelReturnType) -> Tensor:
    """Class probabilities, float64, of a model's output [..., C]."""
    output = output.double()
    if kind == ModelReturnType.probs:
        return output
    return output.exp() if kind == ModelReturnType.log_probs else output.softmax(-1)


def alike(output: Tensor, expected: Tensor) -> bool:
    """Whether two computations of the model's outputs agree up to rounding."""
    tolerance = 1e-9 if expected.dtype == torch.float64 else 1e-4
    scale = max(1.0, float(expected.abs().max()))
    return bool((output - expected).abs().max() <= tolerance * scale)


def _close_to_one(sums: Tensor, tolerance: float) -> bool:
    return bool(((sums - 1).abs() < tolerance).all())


def _usable(tensor: Tensor) -> Tensor:
    """Detached; and copied if it was made in inference mode, which autograd would refuse."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _edge_inputs(model: nn.Module, data: Data) -> dict[str, Tensor]:
    taken = inspect.signature(model.forward).parameters
    edges = data.edge_index.size(1)
    inputs = {}
    for name in EDGE_INPUTS:
        value = data.get(name)
        if value is None or name not in taken:
            continue
        if not isinstance(value, Tensor) or value.size(0) != edges:
            raise ValueError(f"data.{name} is to have one row for each of the {edges} edges")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"data.{name} has NaN or infinite values; clean it first")
        inputs[name] = _usable(value)
    return inputs


def _batch(model: nn.Module, data: Data) -> Tensor | None:
    """The graph of each node, if the data say so and the model asks for it."""
    batch = data.get("batch")
    if batch is None or "batch" not in inspect.signature(model.forward).parameters:
        return None
    nodes, x = data.x.size(0), data.x
    if not isinstance(batch, Tensor) or batch.dtype != torch.int64 or batch.shape != (nodes,):
        raise ValueError(f"data.batch is to be an int64 tensor [{nodes}], the graph of each node")
    if batch.device != x.device:
        raise ValueError(
            f"data.x is on {x.device} and data.batch on {batch.device}; put both on one"
        )
    if int(batch.min()) < 0 or not bool(torch.bincount(batch).all()):
        raise ValueError(
            "data.batch is to number the graphs from 0 without a gap: every graph needs a node"
        )
    across = (batch[data.edge_index[0]] != batch[data.edge_index[1]]).nonzero()
    if across.numel():
        raise ValueError(
            f"edge {int(across[0])} of data.edge_index joins two graphs of data.batch; a batch is "
            "made by torch_geometric.data.Batch.from_data_list"
        )
    return _usable(batch)


def _check_data(data: Data) -> None:
    x, edge_index = data.get("x"), data.get("edge_index")
    if not isinstance(x, Tensor) or x.dim() != 2 or not x.is_floating_point() or not x.numel():
        got = f"{x.dtype} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"data.x is to be floating-point node features [N, F], got {got}")
    if not bool(x.isfinite().all()):
        bad = int((~x.isfinite()).any(dim=1).nonzero()[0])
        raise ValueError(
            f"data.x has NaN or infinite features (first at node {bad}); replace them before "
            "explaining, for example with torch.nan_to_num"
        )
    if not isinstance(edge_index, Tensor) or edge_index.dim() != 2 or edge_index.size(0) != 2:
        got = (
            f"{list(edge_index.shape)}" if isinstance(edge_index, Tensor) else f"{edge_index!r:.40}"
        )
        raise ValueError(f"data.edge_index is to be an int64 tensor [2, E], got {got}")
    if edge_index.dtype != torch.int64:
        raise ValueError(f"data.edge_index is to be int64, got {edge_index.dtype}")
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < x.size(0):
        raise ValueError(
            f"data.edge_index names nodes {int(edge_index.min())} to {int(edge_index.max())}, but "
            f"data.x has nodes 0 to {x.size(0) - 1}"
        )
    if edge_index.device != x.device:
        raise ValueError(
            f"data.x is on {x.device} and data.edge_index on {edge_index.device}; put both on one"
        )
