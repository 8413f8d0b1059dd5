"""The user's model on the user's data, checked once and made ready to be explained many times.

What is explained is the user's own model: it is run once as the user would call it, and whatever is
explained in its place (a private copy, a graph without self loops, a cut) gives the same outputs or
is not used. See :class:`PreparedModel`.
"""

# long: what is known of one model on one graph
from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain.config import ModelConfig, ModelReturnType
from torch_geometric.nn import MessagePassing

from explainers import _compat
from explainers.prepare import dependence, outputs, probe
from explainers.prepare.checks import (
    check_data,
    check_names,
    edge_inputs,
    further_names,
    graph_of_each_node,
    links_of,
)
from explainers.prepare.computation_graph import (
    BatchIndex,
    ComputationGraphs,
    cut,
    whole_graph,
)
from explainers.prepare.copies import (
    ModelCopy,
    WritesToInputs,
    as_called,
    message_passing,
    private_copy,
    rows_of,
    unwrapped,
    unwritten,
    usable,
)
from explainers.prepare.csr import CSC
from explainers.prepare.edge_maps import EdgeMap
from explainers.prepare.outputs import alike, typical_size
from explainers.prepare.side_by_side import look_side_by_side

Made = TypeVar("Made")
# Tensors with more entries, and features, are compared at every call by their addresses and version
# counters alone; writes past those counters are then noticed where a computation graph reads them.
COMPARED = 2**20
PART_LINKS = 8  # asked for on a part of the graph
AS_GIVEN, WITH_LOOPS = EdgeMap(), EdgeMap(loops=True)
SCALES = (1000.0, -1000.0)  # of the features, to tell raw scores from probabilities


class PreparedModel:
    """A model on a graph, or on the graphs of a batch; made by :func:`explainers.prepare.prepare`.

    Task level. What is explained is a node (the model returns one row for each node), a graph
    (``data`` has ``batch``, the graph of each node, which the model takes by keyword, and it
    returns one row for each graph) or a link (the model takes ``edge_label_index`` by keyword and
    returns one row for each of its columns). Nodes, graphs and links are the model's *units*.
    Graphs and links are explained one by one, as if each were alone.

    Self loops. PyG multiplies an edge mask onto the messages by position, and layers such as
    GCNConv put self loops of their own behind the edges. If every layer does, those of the graph
    are never explained: they are taken out where that leaves the outputs as they are, and else
    their messages are never masked. If no layer does, they are edges like any other.

    Attributes:
        model: A private copy of what the user's model comes down to, on which nothing is run.
        x: Node features [N, F].
        edge_index: The edges that are explained, [2, E'].
        e_id: Their ids in the graph as given [E'], or None if they are all of it.
        inputs: Edge-level inputs by keyword, each [E', ...].
        batch: The graph of each node [N] if the data have it and the model takes it, else None.
        links: The links [2, U] that the model predicts, or None.
        given: ``edge_index`` [2, E] and the inputs [E, ...] of the graph as it was given.
        task_level: ``"node"``, ``"graph"`` or, of links, ``"edge"``, as PyG calls it.
        output: The model's output on the whole graph, a row for each unit, [U, C].
        hops: Message-passing steps of one forward pass: the radius of a computation graph.
        maps: Of each layer, for each time it sends messages in a pass, which edges those are of.
        sums: Where links are predicted, what these messages add up to, in the order of the pass.
        beyond: Why a prediction depends on more than the messages within ``hops``, or ``""``.
        without_loops: Whether the outputs stay as they are without the graph's own self loops,
            given the norms of the whole graph.
        more: What the model takes besides, which the data do not have.
        half_precision: Whether it computes, or may, in half precision, or in no floating point.
        trial: What a pass with gradients showed.
        config: What the outputs mean.
        homogeneous: Whether there is one type of nodes and edges.
        engines: Engines that take the place of those of the same name, for this kind of graph.

    Raises:
        ValueError: The model, the data or the two together cannot be explained; says why.
    """

    homogeneous: ClassVar[bool] = True
    engines: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, model: nn.Module, data: Data, edges: Tensor | None = None) -> None:
        check_data(data)
        self.name = type(model).__name__
        own = unwrapped(model)
        # Weakly, as the prepared model is kept as long as the user's is, and no longer.
        self._user = weakref.ref(own)
        self.model = private_copy(own)
        if not self.layers:
            raise ValueError(
                f"model {self.name} has no torch_geometric MessagePassing layer: there is no edge "
                "to explain; build it from PyG's layers"
            )
        check_names(own, data.to_dict())
        self.more = further_names(own)
        self.x = usable(data.x)
        self.given = usable(data.edge_index), edge_inputs(model, data)
        self.batch, self.links = graph_of_each_node(model, data), links_of(model, data, edges)
        if self.batch is not None and self.links is not None:
            raise ValueError(
                "data.batch: links are explained in one graph, and the model takes batch and "
                "edge_label_index; take data.batch out, or explain the links of each graph by "
                "themselves"
            )
        self.edge_index, self.inputs = self.given
        self.e_id: Tensor | None = None
        self._lock = threading.RLock()
        self._memo: dict[Any, Any] = {}
        self._of_graph: dict[Any, Any] = {}
        self._free: list[ModelCopy] = []
        self._held = threading.local()
        self.config = ModelConfig("multiclass_classification", "node", "raw")  # see with_config
        self.output = self._user_output()
        self.task_level = "graph" if len(self.output) == self._graphs else "node"
        if self.links is not None:
            self.task_level = "edge"
        kinds = {self.x.dtype, self.output.dtype} - {torch.float32, torch.float64}
        self.half_precision = bool(kinds) or torch.is_autocast_enabled(self.x.device.type)
        self.beyond, self.hops = "", 0
        self.maps, calls, self.sums = probe.look_at_calls(self)
        # A layer for each relation sends messages once for each, which is one step for all.
        self.hops = sum(not one.relation for turns in self.maps for one in turns)
        own_loops = probe.own_loops(self)
        if own_loops:
            loops = self.edge_index[0] == self.edge_index[1]
            self.e_id = (~loops).nonzero().view(-1)
            self.edge_index = self.edge_index[:, self.e_id].contiguous()
            self.inputs = {name: value[self.e_id] for name, value in self.inputs.items()}
        self._norms = probe.norms(self, calls)
        self.without_loops = not own_loops or probe.same_without_loops(self)
        self.beyond = dependence.looks_beyond(self)
        if self.task_level != "node" and self.units > 1:
            probe.check_independence(self)
        mixing = look_side_by_side(self)
        self.beyond = self.beyond or mixing
        self.trial = probe.try_gradients(self)
        self._marks = self._mark(self.x)
        size = max(float(self.x.double().abs().max()), 1e-30)
        self._rounding = 1e-12 * self.x.size(1) * size

    def with_config(self, config: ModelConfig | dict[str, Any] | None) -> PreparedModel:
        """The same with what its outputs mean.

        Raises:
            ValueError: See :func:`explainers.prepare.outputs.resolve`.
        """
        same = copy.copy(self)
        same._memo = {}
        same.__dict__.pop("probabilities", None)
        same.config = outputs.resolve(config, self.output, self.task_level, self._stays_in_unit)
        return same

    def with_links(self, links: Tensor) -> PreparedModel | None:
        """The same for other links [2, U]: the user's model and a private copy are run on them.

        What is known of the graph (:meth:`memo`) is kept. None if the layers see which links are
        asked for: then nothing of what is known holds for others.

        Raises:
            ValueError: They differ, or a link's output depends on the others.
        """
        same = copy.copy(self)
        same._memo = {}
        for name in ("probabilities", "bytes_per_unit", "typical", "_typical"):
            same.__dict__.pop(name, None)
        same.links = links
        same.output = same._user_output()
        if not probe.check_copy(same):
            return None
        if same.units > 1:
            probe.check_independence(same)
        return same

    def _stays_in_unit(self) -> bool:
        """Whether outputs stay between 0 and 1 at large features, as probabilities do."""
        edge_index, inputs = self.given
        if not self.x.is_floating_point():
            return True
        with self.borrowed() as copy, torch.no_grad():
            found = [
                copy.run(scale * self.x, edge_index, self.with_batch(inputs)) for scale in SCALES
            ]
        return all(bool(((out >= 0) & (out <= 1)).all()) for out in found)

    @cached_property
    def layers(self) -> list[MessagePassing]:
        """The message-passing layers, for what they are: nothing is run on them."""
        return message_passing(self.model)

    @property
    def return_type(self) -> ModelReturnType:
        """Whether the outputs are log-probabilities, probabilities or raw numbers."""
        return self.config.return_type

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.x.size(0)

    @property
    def widest_type(self) -> int:
        """The nodes of the largest type, which are all of one graph."""
        return self.num_nodes

    @property
    def units(self) -> int:
        """How many nodes, graphs or links there are to explain."""
        return self.output.size(0)

    @property
    def keywords(self) -> dict[str, Tensor]:
        """All that the model takes by keyword: the edge-level inputs, and the batch."""
        return self.with_batch(self.inputs)

    def with_batch(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Edge-level inputs, and the batch or the links if there are any."""
        if self.links is not None:
            return {**inputs, "edge_label_index": self.links}
        return inputs if self.batch is None else {**inputs, "batch": self.batch}

    @cached_property
    def has_loops(self) -> bool:
        """Whether there are self loops among the edges that are explained."""
        return bool((self.edge_index[0] == self.edge_index[1]).any())

    # ------------------------------------------------------------------------ computation graphs

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
        roots = self.roots(units)
        if self.beyond:
            return whole_graph(self.edge_index, self.num_nodes, roots)
        return cut(self.index, roots, self.hops)

    def roots(self, units: Tensor) -> Tensor:
        """The nodes whose surroundings ``units`` [R] depend on: they, or both ends, [R, 2]."""
        return units if self.links is None else self.links[:, units].t().contiguous()

    def size_bound(self, hops: int) -> Tensor:
        """How many edges the computation graph of each unit has at most, float64 [U] on the CPU."""
        size = self.index.size_bound(hops)
        return size.cpu() if self.links is None else size[self.links].sum(dim=0).cpu()

    @cached_property
    def bytes_per_unit(self) -> Tensor:
        """Roughly what one pass forwards and backwards over each computation graph takes."""
        if self.task_level == "graph":
            size = self.batch_index.sizes()
        elif self.beyond:
            size = self.x.new_full((self.units,), self.edge_index.size(1), dtype=torch.float64)
        else:
            size = self.size_bound(self.hops)
        return (size + 1).cpu() * self.bytes_per_edge

    @cached_property
    def bytes_per_edge(self) -> int:
        """Roughly what one pass forwards and backwards takes for an edge."""
        widths = [max(p.shape) for p in self.model.parameters() if p.dim() == 2]
        return 4 * (self.x.size(1) + 2 * sum(widths)) * self.x.element_size()

    @cached_property
    def probabilities(self) -> Tensor:
        """What the outputs say, float64 [N, C] or [G, C]; see ``outputs.to_probabilities``."""
        return outputs.to_probabilities(self.output, self.config)

    def on_part(self, edges: Tensor) -> PreparedModel:
        """The model on some of the edges, ids [k] in the graph as given, and their nodes, anew.

        Raises:
            ValueError: See the class; a model may be made for the whole graph.
        """
        edge_index, inputs = self.given
        nodes, place = edge_index[:, edges].unique(return_inverse=True)
        data = Data(x=self.x[nodes], edge_index=place)
        links = None if self.links is None else place[:, :PART_LINKS]
        for name, value in inputs.items():
            data[name] = value[edges]
        if self.batch is not None:
            data.batch = torch.zeros_like(nodes)
        model = private_copy(self.model)
        return PreparedModel(model, data, links)

    # -------------------------------------------------------------------------------- passes

    @contextmanager
    def borrowed(self) -> Iterator[ModelCopy]:
        """A private copy of the model for one thread at a time; the same within itself.

        One that an exception has passed through may carry remains: it is not used again.
        """
        held: ModelCopy | None = getattr(self._held, "copy", None)
        if held is not None:
            yield held
            return
        with self._lock:
            mine = self._free.pop() if self._free else ModelCopy(self.model)
        self._held.copy = mine
        try:
            yield mine
        finally:
            self._held.copy = None
        with self._lock:
            self._free.append(mine)

    def differs(self, output: Tensor, units: Tensor) -> str:
        """By how much ``output`` [R, C] is not the model's own for ``units`` [R], or ``""``."""
        return self.difference(output, self.output.index_select(0, units))

    def difference(self, output: Tensor, expected: Tensor) -> str:
        """By how much one output [R, C] is not the other, or ``""``."""
        if not outputs.is_multiclass(self.config) and output.size(1) > 1:
            # Numbers of their own: no column says how large another is.
            own = zip(output.split(1, dim=1), expected.split(1, dim=1), self._typical, strict=True)
            same = all(alike(*one) for one in own)
        else:
            same = alike(output, expected, self.typical)
        if same:
            return ""
        return f"{float((output.double() - expected.double()).abs().max()):.1e}"

    @cached_property
    def typical(self) -> float:
        """How large the model's outputs mostly are."""
        return typical_size(self.output)

    @cached_property
    def _typical(self) -> list[float]:
        """The same of each column."""
        return [typical_size(column) for column in self.output.split(1, dim=1)]

    def unchanged(
        self, graphs: ComputationGraphs | None = None, read: Tensor | None = None
    ) -> bool:
        """Whether all features, or what some computation graphs read, are as they were prepared.

        Args:
            graphs: The computation graphs.
            read: The features [n, F] that they read.
        """
        x, marks = self.x, self._marks
        if graphs is not None and read is not None:
            x, marks = read, marks.index_select(0, graphs.n_id)
            if self.edge_index.numel() > COMPARED:  # others are compared at every call
                e_id = graphs.e_id if self.e_id is None else self.e_id[graphs.e_id]
                edges = self.given[0].index_select(1, e_id)
                if not torch.equal(edges, graphs.n_id[graphs.edge_index]):
                    return False
        if not len(marks):
            return True
        # Equal rows differ by rounding alone, in a sum that may be of other order and cancel.
        difference = torch.addmv(marks, x.double(), self._direction, beta=-1)
        return float(difference.abs_().max()) <= self._rounding

    def _mark(self, x: Tensor) -> Tensor:
        """A number for each row, which another row hardly has, float64."""
        return x.double() @ self._direction

    @cached_property
    def _direction(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        direction = torch.rand(self.x.size(1), generator=generator, dtype=torch.float64) + 0.5
        return direction.to(self.x.device)

    def copy_outputs(self) -> list[Tensor]:
        """What private copies give now, one in use and a new one.

        The model's output, if nothing was left on them.
        """
        edge_index, inputs = self.given
        keywords = self.with_batch(inputs)
        with self.borrowed() as used, torch.no_grad():
            copies = (used, ModelCopy(self.model))
            return [copy.run(self.x, edge_index, keywords) for copy in copies]

    def memo(self, key: Any, make: Callable[[], Made], *, of_graph: bool = False) -> Made:
        """What ``make`` makes for this model and graph; made once.

        Args:
            key: Its name.
            make: Makes it.
            of_graph: Whether it is the same for whatever links are asked for, and whatever the
                outputs mean; else it is made once for these links and this meaning.
        """
        with self._lock:
            memo = self._of_graph if of_graph else self._memo
            if key not in memo:
                memo[key] = make()
            made: Made = memo[key]
            return made

    def replace(self, key: Any, value: Any, *, of_graph: bool = False) -> None:
        """Has :meth:`memo` give another value for the key from now on."""
        with self._lock:
            (self._of_graph if of_graph else self._memo)[key] = value

    def alone(self) -> None:
        """Shares nothing of :meth:`memo` any more: what is known from other links does not hold."""
        with self._lock:
            self._of_graph = {}

    def forget(self, key: Any) -> None:
        """Lets the next :meth:`memo` of the key make it anew."""
        with self._lock:
            self._memo.pop(key, None)

    def knows(self, key: Any) -> bool:
        """Whether :meth:`memo` of the key has been made."""
        return key in self._memo

    def masks(
        self,
        edge_mask: Tensor,
        edge_index: Tensor,
        types: Tensor | None,
        nodes: int,
        *,
        has_loops: bool = True,
    ) -> Callable[[int, int], Tensor]:
        """What to multiply onto the messages of a pass over ``edge_index`` [2, e].

        Args:
            edge_mask: [e].
            edge_index: [2, e].
            types: [e], the relations of the edges, or None.
            nodes: How many nodes the graph of the pass has.
            has_loops: Whether there may be self loops among these edges.
        """
        made: dict[EdgeMap, Tensor] = {AS_GIVEN: edge_mask}

        def make(one: EdgeMap) -> Tensor:
            if one == WITH_LOOPS and not has_loops:
                return torch.cat([edge_mask, edge_mask.new_ones(nodes)])
            padded = torch.cat([edge_mask, edge_mask.new_ones(1)])  # ALONE, -1, reads the one
            return padded[one.positions(edge_index, nodes, types)]

        def mask(layer: int, call: int) -> Tensor:
            turns = self.maps[layer]
            one = turns[call % len(turns)]
            if one not in made:
                made[one] = make(one)
            return made[one]

        return mask

    def norms(self) -> dict[int, tuple[Tensor, Tensor]]:
        """For GCNConv layers by number, edges and norms without the graph's own self loops."""
        found = {}
        for number, (edges, loops) in self._norms.normalised.items():
            index = self.edge_index
            if len(loops):
                own = torch.arange(self.num_nodes, device=self.x.device).expand(2, -1)
                index = torch.cat([index, own], dim=1)
            found[number] = index, torch.cat([edges, loops])
        return found

    @property
    def suits_pyg(self) -> bool:
        """Whether PyG's own masks are on the right edges, so that its explainers can be run.

        They are where layers take the edges as they are, or with loops behind them.
        """
        plain = all(one.plain for turns in self.maps for one in turns)
        return self.without_loops and plain and all(map(_compat.can_be_explained, self.layers))

    @property
    def weights_known(self) -> bool:
        """Whether what the GCNConv layers normalise are the data's own weights, or none."""
        return self._norms.known

    @property
    def uneven_layer(self) -> MessagePassing | None:
        """A GCNConv that is called with different weights in one pass, or None."""
        number = self._norms.differing
        return None if number is None else self.layers[number]

    @property
    def normalised(self) -> list[int]:
        """The numbers of the layers that have a :meth:`norm`."""
        return list(self._norms.normalised)

    def norm(self, number: int) -> tuple[Tensor, Tensor]:
        """A GCNConv's normalised weights on the whole graph: of edges [E'], and loops [N] or [0].

        As the layer itself computed them. Kipf and Welling, arXiv:1609.02907, eq. 2.
        """
        return self._norms.normalised[number]

    def weights(self, number: int) -> tuple[Tensor, Tensor]:
        """What a GCNConv normalises: weights of edges [E'] and of its self loops, [N] or [0]."""
        return self._norms.weights[number]

    def degree(self, number: int) -> Tensor:
        """The weighted in-degrees by which a GCNConv normalises, its self loops included, [N]."""
        edges, loops = self.weights(number)
        degree = edges.new_zeros(self.num_nodes).index_add_(0, self.edge_index[1], edges)
        return degree + loops if len(loops) else degree

    # ------------------------------------------------------------------------------- at first

    @property
    def _graphs(self) -> int:
        """Graphs in the batch; 0 without one."""
        return 0 if self.batch is None else int(self.batch.max()) + 1

    def user_run(self) -> Any:
        """What the user's own model returns, called as the user calls it."""
        edge_index, inputs = self.given
        model = self._user()
        assert model is not None
        with torch.no_grad(), as_called(model):
            return model(self.x, edge_index, **self.with_batch(inputs))

    def _user_output(self) -> Tensor:
        edge_index, inputs = self.given
        before = probe.random_state(self.x.device)
        given = {"x": self.x, "edge_index": edge_index, **self.with_batch(inputs)}
        try:
            with unwritten(self.name, given):
                output = self.user_run()
        except WritesToInputs:
            raise
        except Exception as error:
            hint = ""
            if self.links is None and "edge_label_index" in str(error):
                hint = "; say which links with edges=..., or put them into data.edge_label_index"
            raise ValueError(
                f"model {self.name} fails when called as model(x, edge_index"
                f"{''.join(f', {key}=...' for key in self.with_batch(inputs))}) with x "
                f"{list(self.x.shape)} and edge_index {list(edge_index.shape)}: {error}{hint}"
            ) from error
        if probe.random_state(self.x.device) != before:
            raise ValueError(
                f"model {self.name} is random in eval mode: it draws random numbers, so that its "
                "outputs differ from call to call; pass training=self.training to F.dropout, or "
                "use nn.Dropout"
            )
        rows = {self.num_nodes, self._graphs} if self.links is None else {self.links.size(1)}
        if isinstance(output, Tensor) and output.dim() < 2 and output.numel() in rows:
            output = output.view(-1, 1)
        if not isinstance(output, Tensor) or output.dim() != 2 or output.size(0) not in rows:
            if self.links is not None:
                raise ValueError(
                    f"model {self.name} returned {rows_of(output)} for edge_label_index "
                    f"{list(self.links.shape)}; a link-level explanation needs a row for each of "
                    f"its columns, [R] or [R, C] with R = {self.links.size(1)}"
                )
            graphs = (
                "explain graphs with a model that takes batch=..., and data.batch"
                if self.batch is None
                else f"a graph-level one [G, C] with G = {self._graphs}"
            )
            raise ValueError(
                f"model {self.name} returned {rows_of(output)}; a node-level explanation needs an "
                f"output [N, C] with N = {self.num_nodes}; {graphs}"
            )
        if not bool(output.isfinite().all()):
            raise ValueError(
                f"model {self.name} returned NaN or infinite outputs; check its weights"
            )
        return output.clone()
