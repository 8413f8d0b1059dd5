"""The user's model on the user's heterogeneous data, checked once and made ready."""

# long: one model on one graph, whose checks need what the ones before have found

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.explain.config import ModelConfig

from explainers import _compat
from explainers.hetero.calls import call_maps, run
from explainers.hetero.depth import depth_and_trial
from explainers.hetero.layout import Layout
from explainers.hetero.schema import EdgeType, union
from explainers.prepare import probe
from explainers.prepare.checks import _keywords as keywords_of
from explainers.prepare.checks import check_names, further_names
from explainers.prepare.computation_graph import ComputationGraphs, cut, whole_graph
from explainers.prepare.copies import (
    ModelCopy,
    WritesToInputs,
    as_called,
    private_copy,
    rows_of,
    unwrapped,
    unwritten,
    usable,
)
from explainers.prepare.layers import is_normalised
from explainers.prepare.model import SCALES, PreparedModel
from explainers.prepare.outputs import alike, distance
from explainers.prepare.side_by_side import unlike

INPUTS = ("edge_weight", "edge_attr")  # passed on if the data have them and the model takes them
SAMPLE = 32  # edges of each type on which gradients are tried
DISTURBED = 8  # nodes that are changed to see who depends on them


class PreparedHetero(PreparedModel):
    """A model on a heterogeneous graph, for the outputs of one node type.

    Nodes and edges are those of the union of the types, see :mod:`explainers.hetero.schema`; the
    units that are explained are the nodes of the one type, numbered as in the data.

    Attributes:
        node_type: The type whose nodes are explained.
        schema: The types.
        whole: The whole graph by type.
        call_maps: Of each layer, for each time it sends messages, which edges those are of.
    """

    homogeneous = False

    def __init__(self, model: nn.Module, data: HeteroData, node_type: str | None = None) -> None:
        # Not the base class's, which looks at homogeneous layers.
        if node_type is not None and node_type not in data.node_types:
            raise ValueError(
                f"nodes: data has no node type {node_type!r}; it has: {', '.join(data.node_types)}"
            )
        self.name = type(model).__name__
        found = union(data)
        self.schema, self.x, self.edge_index = found.schema, found.x, found.edge_index
        own = unwrapped(model)
        passed = [*INPUTS, *(f"{name}_dict" for name in INPUTS)]
        check_names(own, _named(data), passed)
        self.more = further_names(own, passed)
        self._user = weakref.ref(own)
        self.task_level, self.batch, self.e_id, self.beyond = "node", None, None, ""
        self.links = None
        self.inputs: dict[str, Tensor] = {}  # those by type are in ``whole``
        self.given = self.edge_index, self.inputs
        self.maps, self.without_loops, self._norms = [], True, probe.Norms()
        self._lock, self._memo, self._of_graph = threading.RLock(), {}, {}
        self._free = []
        self._held = threading.local()
        self.config = ModelConfig("multiclass_classification", "node", "raw")  # see with_config
        everything = whole_graph(self.edge_index, self.num_nodes, self.edge_index.new_zeros(1))
        self.whole = Layout(self.schema, everything, _inputs(model, data))
        self.node_type, self.output = self._user_output(own, data, node_type)
        self.type_number = self.schema.node_types.index(self.node_type)
        self.model = OfType(private_copy(own), self.node_type)
        if not self.layers:
            raise ValueError(
                f"model {self.name} has no torch_geometric MessagePassing layer: there is no edge "
                "to explain; build it from PyG's layers"
            )
        with self.borrowed() as copy:
            self.call_maps, output = call_maps(copy, self.name, self.x, self.whole)
        if not alike(output, self.output):
            raise ValueError(
                f"a private copy of model {self.name} gives other outputs than the model itself, "
                f"by {distance(output, self.output)}: it depends on something that copy.deepcopy "
                "does not copy, or on a graph that a convolution has cached"
            )
        self._check_rows()
        self.hops, self.trial = self._depth_and_trial()
        self.beyond = self._looks_beyond() or self._looks_side_by_side()

    # ------------------------------------------------------------------------ computation graphs

    def roots(self, units: Tensor) -> Tensor:
        """The ids in the union of nodes [R] of the explained type."""
        return units + self.schema.node_ptr[self.type_number]

    def cut(self, units: Tensor) -> ComputationGraphs:
        """The computation graphs of ``units`` [R], in the union."""
        return self.wider_cut(units, 0)

    def wider_cut(self, units: Tensor, ring: int) -> ComputationGraphs:
        """The computation graphs with ``ring`` hops more."""
        if self.beyond:
            return whole_graph(self.edge_index, self.num_nodes, self.roots(units))
        return cut(self.index, self.roots(units), self.hops + ring)

    @cached_property
    def bytes_per_unit(self) -> Tensor:
        """Roughly what one pass over each computation graph takes."""
        if self.beyond:
            size = self.x.new_full((self.units,), self.edge_index.size(1), dtype=torch.float64)
        else:
            start = self.schema.node_ptr[self.type_number]
            size = self.index.size_bound(self.hops + self.ring)[start : start + self.units]
        return (size + 1).cpu() * self.bytes_per_edge

    @cached_property
    def ring(self) -> int:
        """Hops beyond the computation graph whose edges count into the degrees of its border."""
        return int(any(map(is_normalised, self.layers)))

    @property
    def widest_type(self) -> int:
        """The nodes of the largest type, by which PyG scales the edge masks of GNNExplainer."""
        return max(self.schema.counts)

    def unchanged(
        self, graphs: ComputationGraphs | None = None, read: Tensor | None = None
    ) -> bool:
        """True: the features are copies; what was copied is compared at every call."""
        return True

    # -------------------------------------------------------------------------------- passes

    def run_whole(self, x: Tensor, edge_mask: Tensor | None = None) -> Tensor:
        """The output [N_t, C] on the whole graph for features [N, F] and a mask [E]."""
        masks = None if edge_mask is None else self.whole.masks(edge_mask, self.call_maps)
        with self.borrowed() as copy, torch.no_grad():
            return run(copy, x[None], self.whole, masks)

    def copy_outputs(self) -> list[Tensor]:
        """What private copies give now, one in use and a new one."""
        with self.borrowed() as used, torch.no_grad():
            copies = (used, ModelCopy(self.model))
            return [run(copy, self.x[None], self.whole) for copy in copies]

    def disturbed(self) -> tuple[Tensor, Tensor, Tensor]:
        """Other features [N, F] and a mask [E], and the output [N_t, C] there; drawn once."""

        def make() -> tuple[Tensor, Tensor, Tensor]:
            generator = torch.Generator().manual_seed(0)
            x = self.x * torch.rand(self.x.shape, generator=generator).to(self.x)
            mask = torch.rand(self.edge_index.size(1), generator=generator).to(self.x)
            return x, mask, self.run_whole(x, mask)

        return self.memo("disturbed", make)

    @property
    def suits_pyg(self) -> bool:
        """Whether PyG's ``set_hetero_masks`` puts each mask onto the messages of its own type."""
        return self.memo("suits PyG", self._suits_pyg)

    def _suits_pyg(self) -> bool:
        signs = {name: self.x.new_ones(index.size(1)) for name, index in self._edges.items()}
        names = self.schema.edge_types
        with self.borrowed() as copy:
            try:
                _compat.set_hetero_masks(copy.model, signs, self._edges)
                return all(
                    _compat.can_be_explained(layer)
                    and all(
                        len(one.types) == 1 and _compat.mask_of(layer) is signs[names[one.types[0]]]
                        for one in turns
                        if one.types
                    )
                    for layer, turns in zip(copy.layers, self.call_maps, strict=True)
                    if layer.explain is not False
                )
            finally:
                for layer in copy.layers:
                    _compat.strip(layer)

    @property
    def _edges(self) -> dict[EdgeType, Tensor]:
        return self.whole.edge_index

    # ------------------------------------------------------------------------------- at first

    def _user_output(  # type: ignore[override]
        self, model: nn.Module, data: HeteroData, node_type: str | None
    ) -> tuple[str, Tensor]:
        """The explained node type, and what the user's own model returns for it."""
        before = probe.random_state(self.x.device)
        features = {
            name: usable(data[name].x) for name in self.schema.node_types if "x" in data[name]
        }
        keywords = self.whole.inputs
        try:
            every = {f"x of {name}": value for name, value in features.items()}
            every |= {f"edge_index of {name}": value for name, value in self._edges.items()}
            with torch.no_grad(), as_called(model), unwritten(self.name, every):
                output = model(features, dict(self._edges), **keywords)
        except WritesToInputs:
            raise
        except Exception as error:
            raise ValueError(
                f"model {self.name} fails when called as model(x_dict, edge_index_dict"
                f"{''.join(f', {key}=...' for key in keywords)}): "
                f"{type(error).__name__}: {error}"
            ) from error
        if probe.random_state(self.x.device) != before:
            raise ValueError(
                f"model {self.name} is random in eval mode: it draws random numbers, so that its "
                "outputs differ from call to call; pass training=self.training to F.dropout, or "
                "use nn.Dropout"
            )
        node_type, output = self._of_type(output, node_type)
        if not bool(output.isfinite().all()):
            raise ValueError(
                f"model {self.name} returned NaN or infinite outputs; check its weights"
            )
        return node_type, output.clone()

    def _of_type(self, output: Any, node_type: str | None) -> tuple[str, Tensor]:
        counts = dict(zip(self.schema.node_types, self.schema.counts, strict=True))
        if isinstance(output, dict):
            if node_type is None and len(output) == 1:
                node_type = next(iter(output))
            if node_type is None:
                raise ValueError(
                    f"model {self.name} returns outputs for node types {', '.join(output)}; say "
                    "which are explained, for example nodes=("
                    f"{next(iter(output), '')!r}, [0])"
                )
            output = output.get(node_type)
        rows = output.size(0) if isinstance(output, Tensor) and output.dim() in (1, 2) else None
        fitting = [name for name, count in counts.items() if count == rows]
        if node_type is None and len(fitting) == 1:
            node_type = fitting[0]
        if node_type not in fitting:
            say = "; say which: nodes=(node_type, [...]), or as_algorithm(..., node_type=...)"
            say = say if len(fitting) > 1 else ""
            raise ValueError(
                f"model {self.name} returned {rows_of(output)}"
                f"{'' if node_type is None else f' for node type {node_type!r}'}; explaining nodes "
                "needs an output [N, C] for one node type, or a dictionary of them; the types "
                f"have N = {', '.join(f'{count} ({name})' for name, count in counts.items())}{say}"
            )
        return node_type, output[:, None] if output.dim() == 1 else output

    def _check_rows(self) -> None:
        """Where another type has as many nodes: the rows are those of the type that is named.

        Raises:
            ValueError: They are not: with one node of each other type there are others.
        """
        if self.schema.counts.count(self.units) == 1:
            return
        starts, own = self.schema.node_ptr[:-1], self.type_number
        ids = self.edge_index.new_tensor(
            [s for s, n in zip(starts, self.schema.counts, strict=True) if n]
        )
        n_id = torch.cat([ids, self.roots(torch.arange(self.units, device=ids.device))]).unique()
        nothing = ids[:0]
        part = ComputationGraphs(
            n_id,
            n_id.new_tensor([0, len(n_id)]),
            nothing,
            n_id.new_zeros(2),
            ids.new_empty(2, 0),
            nothing,
        )
        layout = Layout(self.schema, part, self.whole.inputs)
        try:
            with self.borrowed() as copy, torch.no_grad():
                rows = run(copy, self.x[n_id][None], layout).size(0)
        except Exception:
            return  # it cannot be run on a part of the graph: then nothing is cut either
        if rows != self.units:
            raise ValueError(
                f"model {self.name} returns {rows} rows if there are {layout.sizes[own]} nodes of "
                f"type {self.node_type!r} and one of each other: its outputs are not of that type; "
                "name the type that they are of"
            )

    def _stays_in_unit(self) -> bool:
        found = [self.run_whole(scale * self.x) for scale in SCALES]
        return all(bool(((out >= 0) & (out <= 1)).all()) for out in found)

    @cached_property
    def _few_edges(self) -> ComputationGraphs:
        """A few edges of each type, and a node of each."""
        parts, ptr = [], self.schema.edge_ptr
        for first, last in pairwise(ptr):
            parts.append(torch.arange(first, min(last, first + SAMPLE)))
        e_id = torch.cat(parts).to(self.edge_index.device)
        ends = self.edge_index[:, e_id]
        firsts = [
            p for p, count in zip(self.schema.node_ptr, self.schema.counts, strict=False) if count
        ]
        n_id = torch.cat([ends.flatten(), ends.new_tensor(firsts)]).unique()
        return ComputationGraphs(
            n_id,
            n_id.new_tensor([0, len(n_id)]),
            e_id,
            e_id.new_tensor([0, len(e_id)]),
            torch.searchsorted(n_id, ends),
            n_id.new_zeros(1),
        )

    def _depth_and_trial(self) -> tuple[int, probe.Trial]:
        """On a few edges of each type, or on all of the graph if that fails."""
        layout = Layout(self.schema, self._few_edges, self.whole.inputs)
        for x, where in ((self.x[self._few_edges.n_id], layout), (self.x, self.whole)):
            with self.borrowed() as copy:
                hops, trial = depth_and_trial(copy, x, where, self.call_maps)
            if not trial.error:
                break
        return max(1, hops), trial

    def _looks_side_by_side(self) -> str:
        """Why copies cannot be run side by side, with other edges each, or ``""`` if they can.

        A few edges, and beside them one half of these and the other, by themselves and together.
        """
        graphs, inputs = self._few_edges, self.whole.inputs
        x = self.x[graphs.n_id]
        half = torch.arange(len(graphs.e_id), device=x.device) % 2 == 0
        kept = torch.stack([half | True, half, ~half])
        features = torch.stack([x, unlike(x), x])
        try:
            with self.borrowed() as copy, torch.no_grad():
                together = run(copy, features, Layout(self.schema, graphs, inputs, 3, kept))
                alone = []
                for one, stays in zip(features.split(1), kept.split(1), strict=True):
                    layout = Layout(self.schema, graphs, inputs, 1, stays)
                    alone.append(run(copy, one, layout))
        except Exception:
            return ""  # it cannot be run on a part of the graph: then nothing is cut either
        shares = zip(together.split(len(alone[0])), alone, strict=False)
        if len(together) == 3 * len(alone[0]) and all(
            alike(one, other) or not bool(other.isfinite().all()) for one, other in shares
        ):
            return ""
        return (
            "its outputs change if another graph lies beside its own: some layer depends on more "
            "than the messages into each node"
        )

    def _looks_beyond(self) -> str:
        """Why a prediction depends on more than the messages within ``hops``, or ``""``.

        A few nodes, and what they send, are changed: outputs that they do not reach must stay.
        """
        generator = torch.Generator().manual_seed(0)
        source, target = self.edge_index
        chance = torch.rand(self.num_nodes, generator=generator).to(self.x.device)
        sends = torch.bincount(source, minlength=self.num_nodes)
        pool = (sends + chance).argsort()[: max(DISTURBED, self.num_nodes // 4)]
        pool = pool[torch.randperm(len(pool), generator=generator).to(pool.device)]
        start = self.schema.node_ptr[self.type_number]
        for count in (DISTURBED, 4, 2, 1):
            changed = torch.zeros(self.num_nodes, dtype=torch.bool, device=self.x.device)
            changed[pool[:count]] = True
            reached = changed
            for _ in range(self.hops):
                ahead = torch.zeros_like(reached)
                ahead[target[reached[source]]] = True
                reached = reached | ahead
            untouched = ~reached[start : start + self.units]
            if bool(untouched.any()):
                break
        else:
            return ""
        noise = torch.randn(self.x.shape, generator=generator).to(self.x)
        x = torch.where(
            changed[:, None], self.x + noise * self.x.abs().max().clamp(min=1e-6), self.x
        )
        factor = torch.rand(len(source), generator=generator).to(self.x)
        mask = torch.where(changed[source], factor, torch.ones_like(factor))
        output = self.run_whole(x, mask)
        if alike(output[untouched], self.output[untouched], self.typical):
            return ""
        return (
            f"its predictions change by {distance(output[untouched], self.output[untouched])} with "
            "nodes that send no message to them: some layer depends on more than the messages into "
            "each node"
        )


class OfType(nn.Module):
    """A model, of whose outputs those of one node type are looked at."""

    def __init__(self, model: nn.Module, node_type: str) -> None:
        super().__init__()
        self.model, self.node_type = model, node_type

    def forward(self, x: Any, edge_index: Any, **inputs: Any) -> Tensor:
        """The rows [N_t, C]."""
        output = self.model(x, edge_index, **inputs)
        found: Tensor = output[self.node_type] if isinstance(output, dict) else output
        return found


def _named(data: HeteroData) -> dict[str, Tensor]:
    """One tensor of each name that a model may have for what is in the data."""
    found: dict[str, Tensor] = {}
    for store in data.stores:
        for name, value in store.items():
            if isinstance(value, Tensor) and name not in ("x", "edge_index"):
                found |= {name: value, f"{name}_dict": value}
    return found


def _inputs(model: nn.Module, data: HeteroData) -> Mapping[str, Mapping[EdgeType, Tensor]]:
    """The edge-level inputs that the data have and the model takes, by keyword and type.

    Under the name that the model's ``forward`` has for them: ``edge_attr_dict``, or ``edge_attr``
    as models made by ``to_hetero`` have.

    Raises:
        ValueError: One has not a row for each edge, is not finite, or the model hides whether it
            takes it.
    """
    found: dict[str, dict[EdgeType, Tensor]] = {}
    for name in INPUTS:
        values = {
            one: data[one][name] for one in data.edge_types if data[one].get(name) is not None
        }
        if not values:
            continue
        taken = keywords_of(model, [f"{name}_dict", name])
        if not taken:
            continue
        for one, value in values.items():
            edges = data[one].edge_index.size(1)
            if not isinstance(value, Tensor) or value.dim() == 0 or value.size(0) != edges:
                raise ValueError(f"data[{one!r}].{name} must have a row for each of {edges} edges")
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise ValueError(f"data[{one!r}].{name} has NaN or infinite values; clean it first")
        found[max(taken, key=len)] = {one: usable(value) for one, value in values.items()}
    return found
