"""Nodes of a heterogeneous graph to explain: side by side on their cuts, or one on all of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch_geometric.explain import ExplainerAlgorithm, Explanation

from explainers import _compat
from explainers.engines.base import Attribution, Explains, NotTheModel, Problem, ReferenceProblem
from explainers.engines.memory import is_out_of_memory
from explainers.hetero.calls import run
from explainers.hetero.explanations import by_type
from explainers.hetero.layout import Layout
from explainers.hetero.prepared import PreparedHetero


class HeteroProblem(Problem):
    """What is the same on both engines."""

    prepared: PreparedHetero

    @property
    def node_groups(self) -> tuple[Tensor, int]:
        schema = self.prepared.schema
        return self._with_types(self.node_batch, schema.type_of(self._n_id), len(schema.widths))

    @property
    def edge_groups(self) -> tuple[Tensor, int]:
        schema = self.prepared.schema
        types = schema.edge_type_of(self._e_id)
        return self._with_types(self.edge_batch, types, len(schema.edge_types))

    @staticmethod
    def _with_types(batch: Tensor, types: Tensor, count: int) -> tuple[Tensor, int]:
        return batch * count + types, count

    @property
    def _n_id(self) -> Tensor:
        """The ids of the rows of ``x``."""
        return self.graphs.n_id

    @property
    def _e_id(self) -> Tensor:
        """The ids of the entries of ``edge_mask``."""
        return self.graphs.e_id

    def explanations(self, attribution: Attribution) -> Iterator[Any]:
        """One of PyG's ``HeteroExplanation`` for each node, of its own computation graph."""
        for explanation in super().explanations(attribution):
            yield by_type(explanation, self.prepared.schema, self.prepared.node_type)


class BatchedHetero(HeteroProblem):
    """R computation graphs, of which B variants go through the model at once.

    Where a layer weighs edges by degrees, the cut goes a hop further, so that the nodes on the
    border of the computation graph have all their edges; these are never masked and not explained.
    """

    def __init__(
        self, prepared: PreparedHetero, nodes: Tensor, targets: Tensor, memory_budget: int
    ) -> None:
        super().__init__(prepared, prepared.cut(nodes), nodes, targets, memory_budget)
        self._wide = prepared.wider_cut(nodes, prepared.ring) if prepared.ring else self.graphs
        self._layouts: dict[int, Layout] = {}

    @cached_property
    def x(self) -> Tensor:
        return self.prepared.x.index_select(0, self._wide.n_id)

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.prepared.output.new_ones(len(self._wide.e_id))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        count = len(x)
        if count not in self._layouts:
            self._layouts[count] = self._layout(count)
        layout = self._layouts[count]
        return self._run(layout, x, layout.masks(edge_mask.flatten(), self.prepared.call_maps))

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        everywhere = kept.new_full((len(kept), len(self._wide.e_id)), not alone)
        everywhere[:, self.edge_rows] = kept
        layout = self._layout(len(kept), everywhere)
        return self._run(layout, self.x.expand(len(kept), -1, -1), None)

    def _layout(self, count: int, kept: Tensor | None = None) -> Layout:
        prepared = self.prepared
        return Layout(prepared.schema, self._wide, prepared.whole.inputs, count, kept)

    def _run(self, layout: Layout, x: Tensor, masks: Any) -> Tensor:
        prepared = self.prepared
        try:
            with prepared.borrowed() as copy:
                output = run(copy, x, layout, masks)
                calls = copy.calls
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise NotTheModel(
                f"its layers fail on a cut graph ({type(error).__name__}: {error})"
            ) from error
        if masks is not None and calls != [len(turns) for turns in prepared.call_maps]:
            raise NotTheModel("its layers send messages more or fewer times on a cut graph")
        return layout.explained(output, prepared.type_number, self._wide.roots)

    def check(self, output: Tensor) -> None:
        if self.verified:
            return
        self._compare(output, self.prepared.output[self.nodes])
        self.verified = True

    def check_elsewhere(self) -> None:
        """Compares the outputs at other features and a mask with those on the whole graph.

        Raises:
            NotTheModel: They differ.
        """
        x, mask, output = self.prepared.disturbed()
        with torch.no_grad():
            found = self.predict(x[self._wide.n_id][None], mask[self._wide.e_id][None])[0]
        self._compare(found, output[self.nodes])

    def _compare(self, output: Tensor, expected: Tensor) -> None:
        if wrong := self.prepared.difference(output, expected):
            raise NotTheModel(
                f"its predictions on computation graphs differ from those on the whole graph by "
                f"{wrong}: some layer depends on more than the messages into each node"
            )

    def in_computation_graphs(self, attribution: Attribution) -> Attribution:
        # Baselines do not ask for inputs: theirs are the rows of the computation graphs already.
        own = len(self.graphs.n_id), len(self.graphs.e_id)
        if (len(attribution.node_mask), len(attribution.edge_mask)) == own:
            return attribution
        return super().in_computation_graphs(attribution)

    @property
    def copies(self) -> int:
        needed = float(self.prepared.bytes_per_unit[self.nodes.cpu()].sum())
        return max(1, int(self.memory_budget / needed))

    @property
    def node_batch(self) -> Tensor:
        return self._wide.node_batch

    @property
    def edge_batch(self) -> Tensor:
        return self._wide.edge_batch

    @property
    def _n_id(self) -> Tensor:
        return self._wide.n_id

    @property
    def _e_id(self) -> Tensor:
        return self._wide.e_id

    @cached_property
    def node_rows(self) -> Tensor | slice:
        if self._wide is self.graphs:
            return slice(None)
        own, wide, count = self.graphs, self._wide, self.prepared.num_nodes
        return torch.searchsorted(
            wide.node_batch * count + wide.n_id, own.node_batch * count + own.n_id
        )

    @cached_property
    def edge_rows(self) -> Tensor | slice:
        if self._wide is self.graphs:
            return slice(None)
        own, wide, count = self.graphs, self._wide, self.prepared.edge_index.size(1)
        return torch.searchsorted(
            wide.edge_batch * count + wide.e_id, own.edge_batch * count + own.e_id
        )


class StockHetero(HeteroProblem, ReferenceProblem):
    """One node on the whole graph, through PyG's ``CaptumHeteroModel``."""

    copies = 1

    def __init__(
        self, prepared: PreparedHetero, nodes: Tensor, targets: Tensor, memory_budget: int
    ) -> None:
        super().__init__(prepared, prepared.cut(nodes), nodes, targets, memory_budget)
        self.index: Tensor | None = nodes

    @property
    def x(self) -> Tensor:
        return self.prepared.x

    @cached_property
    def edge_mask(self) -> Tensor:
        return self.prepared.output.new_ones(self.prepared.edge_index.size(1))

    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        prepared, whole = self.prepared, self.prepared.whole
        with prepared.borrowed() as copy:
            if not prepared.suits_pyg:
                masks = whole.masks(edge_mask[0], prepared.call_maps)
                return run(copy, x, whole, masks)[self.nodes][None]
            features, masks = whole.features(x), self._by_edge_type(edge_mask[0])
            metadata = (list(features), list(masks))
            captum = _compat.CaptumHeteroModel(
                _Bound(copy.model, whole.inputs), "node_and_edge", self.index, metadata
            )
            inputs = [one[None] for one in (*features.values(), *masks.values())]
            output: Tensor = captum(*inputs, whole.edge_index)
        return output.view(1, -1, prepared.output.size(1))

    def _by_edge_type(self, edge_mask: Tensor) -> dict[Any, Tensor]:
        schema = self.prepared.schema
        sizes = [b - a for a, b in zip(schema.edge_ptr, schema.edge_ptr[1:], strict=False)]
        return dict(zip(schema.edge_types, edge_mask.split(sizes), strict=True))

    def verify(self) -> None:
        """Verified on all nodes when the model was prepared: nothing is cut."""

    def scores_of(self, method: Explains) -> Attribution:
        both = self.with_features and self.with_edges
        published = both and self.prepared.suits_pyg
        return method.reference(self) if published else method.attribute(self)

    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        prepared, whole, outputs = self.prepared, self.prepared.whole, []
        for row in kept:
            edges = torch.full_like(self.edge_mask, not alone, dtype=torch.bool)
            edges[self.graphs.e_id] = row
            layout = Layout(whole.schema, whole.graphs, whole.inputs, kept=edges[None])
            with prepared.borrowed() as copy:
                outputs.append(run(copy, self.x[None], layout)[self.nodes])
        return torch.stack(outputs)

    def masks_for_pyg(self, nodes: Tensor, edges: Tensor) -> tuple[Any, Any]:
        kinds = self.prepared.whole.features(nodes[None]), self._by_edge_type(edges)
        by_node, by_edge = (
            {name: Parameter(one.clone()) for name, one in kind.items()} for kind in kinds
        )
        return by_node, by_edge

    def run_pyg(self, algorithm: ExplainerAlgorithm) -> Explanation:
        prepared, whole = self.prepared, self.prepared.whole
        target = self.targets.new_zeros(prepared.units).index_put((self.nodes,), self.targets)
        with prepared.borrowed() as copy:
            try:
                found = algorithm(
                    copy.model,
                    whole.features(self.x[None]),
                    whole.edge_index,
                    target=target,
                    index=self.index,
                    **whole.inputs,
                )
            finally:
                for layer in copy.layers:
                    # GNNExplainer leaves a parameter behind, with which Captum fails (PyG 9653).
                    _compat.strip(layer)
        schema = prepared.schema
        node_mask = torch.zeros_like(self.x)
        for start, name in zip(schema.node_ptr, schema.node_types, strict=False):
            mask = found[name].get("node_mask")
            if mask is not None:
                node_mask[start : start + len(mask), : mask.size(1)] = mask
        masks = [found[name].edge_mask for name in schema.edge_types]
        return Explanation(node_mask=node_mask, edge_mask=torch.cat(masks))

    def train_pyg(self, algorithm: Any, epoch: int) -> float:
        raise NotImplementedError("no method that is trained explains heterogeneous graphs")

    @property
    def node_batch(self) -> Tensor:
        return torch.zeros(len(self.x), dtype=torch.long, device=self.x.device)

    @property
    def edge_batch(self) -> Tensor:
        return torch.zeros(len(self.edge_mask), dtype=torch.long, device=self.x.device)

    @property
    def _n_id(self) -> Tensor:
        return torch.arange(len(self.x), device=self.x.device)

    @property
    def _e_id(self) -> Tensor:
        return torch.arange(len(self.edge_mask), device=self.x.device)

    @property
    def node_rows(self) -> Tensor | slice:
        return self.graphs.n_id

    @property
    def edge_rows(self) -> Tensor | slice:
        return self.graphs.e_id


class _Bound(nn.Module):
    """A model with its keyword inputs filled in: PyG's ``CaptumModel`` passes on positions only."""

    def __init__(self, model: nn.Module, inputs: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, x: Any, edge_index: Any) -> Tensor:
        return self.model(x, edge_index, **self.inputs)
