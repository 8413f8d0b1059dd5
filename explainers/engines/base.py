"""What an engine is, and what it gives a method: nodes to explain, and the model as a function.

What is explained is called a node here; for a model that classifies graphs, it is a graph, and for
one that predicts links, a link.

A method asks a :class:`Problem` for outputs and gradients; how they are computed is the engine's
business. What many methods need has a name of its own (``path_gradients``, ``leave_one_out``, ...)
and a default that any engine has; an engine overrides what it can do better. So a method is written
once, never asks on which engine it runs, and no engine knows a method.
"""

# long: one interface, with the default of everything that it offers
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch_geometric.explain import ExplainerAlgorithm, Explanation

from explainers import _compat
from explainers.engines.objective import Losses, Objective
from explainers.prepare.computation_graph import ComputationGraphs
from explainers.prepare.model import PreparedModel

# Makes scores of summed gradients and the features they belong to, both [m, F], and writes them to
# its third argument: an engine that goes through the features in blocks calls it for each block.
Finish = Callable[[Tensor, Tensor, Tensor], object]

# How an explanation says what it is of, by the task level.
OF_UNITS = {"node": "index", "graph": "graph", "edge": "edge_label_index"}
PLAYER_BYTES = 64  # what the masks hold for each player of a coalition, roughly


@dataclass(frozen=True)
class Attribution:
    """What a method gives for the R nodes of a problem.

    Attributes:
        node_mask: [n, F], scores of the node features.
        edge_mask: [e], scores of the edges.
        extra: More per node: each [R], or R tensors, such as one for the edges of each.
    """

    node_mask: Tensor
    edge_mask: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class NotTheModel(ValueError):
    """What an engine computes on is not the user's model, for the nodes asked for."""


class Stale(RuntimeError):
    """The data have changed since they were prepared."""


class Explains(Protocol):
    """What an engine asks of a method."""

    def attribute(self, problem: Problem) -> Attribution:
        """The scores, by what the problem offers."""

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """The scores as Captum or PyG compute them."""


class Problem(ABC):
    """R nodes to explain, independent of each other.

    Attributes:
        prepared: Model and graph.
        graphs: The computation graphs of the nodes.
        nodes: [R], ids of the nodes; of the graphs, for a model that classifies graphs; of the
            links, by their place among the prepared ones.
        targets: [R], the class to explain for each.
        memory_budget: Bytes that one pass may take, roughly.
        x: [n, F] node features at which the model is explained.
        edge_mask: [e] ones: every message as it is.
        verified: Whether the outputs at these inputs are known to be the user's model's.
        with_features: Whether the features are attributed; else they stay as they are throughout.
        with_edges: Whether the edges are.
        explained_form: What is explained, of outputs [..., C]; None for the outputs as the model
            returns them. On engines with ``explains_forms`` only.
    """

    with_features = True
    with_edges = True
    explained_form: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        prepared: PreparedModel,
        graphs: ComputationGraphs,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
    ) -> None:
        self.prepared, self.graphs = prepared, graphs
        self.nodes, self.targets = nodes, targets
        self.memory_budget = memory_budget
        self.verified = False

    # ------------------------------------------------------------------ what an engine has to give

    @property
    @abstractmethod
    def x(self) -> Tensor:
        """See the class."""

    @property
    @abstractmethod
    def edge_mask(self) -> Tensor:
        """See the class."""

    @abstractmethod
    def predict(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """The model's outputs for the explained nodes, [B, R, C].

        ``x`` [B, n, F] and ``edge_mask`` [B, e] are B variants of the inputs; the mask is
        multiplied onto the messages of every layer.
        """

    @abstractmethod
    def deleted_outputs(self, kept: Tensor, *, alone: bool) -> Tensor:
        """The outputs [B, R, C] with edges of the computation graphs deleted, degrees and all.

        ``kept`` [B, e] says which edges of the computation graphs stay; those elsewhere in the
        graph stay, too, or go if ``alone``. Self loops that the model adds belong to the nodes and
        stay.
        """

    @property
    @abstractmethod
    def node_batch(self) -> Tensor:
        """The computation graph to which each row of ``x`` counts, [n]."""

    @property
    @abstractmethod
    def edge_batch(self) -> Tensor:
        """The computation graph to which each entry of ``edge_mask`` counts, [e]."""

    @property
    @abstractmethod
    def copies(self) -> int:
        """How many variants one pass may take within the memory budget, at least 1."""

    # -------------------------------------------------------------- what it may give in another way

    @property
    def node_rows(self) -> Tensor | slice:
        """Which rows of ``x`` are the nodes of the computation graphs, in their order."""
        return slice(None)

    @property
    def edge_rows(self) -> Tensor | slice:
        """Which entries of ``edge_mask`` are edges of the computation graphs, in their order."""
        return slice(None)

    @property
    def node_groups(self) -> tuple[Tensor, int]:
        """To which mask each row of ``x`` counts, [n], and how many each computation graph has.

        One for each node type; those of computation graph r come before those of r + 1.
        """
        return self.node_batch, 1

    @property
    def edge_groups(self) -> tuple[Tensor, int]:
        """As ``node_groups``, for the entries of ``edge_mask`` and edge types."""
        return self.edge_batch, 1

    def check(self, output: Tensor) -> None:
        """Compares the outputs [R, C] at ``x`` and ``edge_mask`` with the user's model's.

        For engines that compute on something else than the whole graph. What computes these
        outputs anyway hands them on, so that :meth:`verify` has nothing left to do.

        Raises:
            NotTheModel: They differ.
        """
        self.verified = True

    def verify(self) -> None:
        """Makes sure that what is explained is the user's model, for these nodes.

        Raises:
            NotTheModel: It is not.
        """
        if not self.verified:
            with torch.no_grad():
                self.check(self.predict(self.x[None], self.edge_mask[None])[0])

    def no_features(self) -> Tensor:
        """Scores of zero for all features, [n, F], of methods that do not score any."""
        return torch.zeros_like(self.x, dtype=self.edge_mask.dtype)

    def scores_of(self, method: Explains) -> Attribution:
        """The method's scores."""
        return method.attribute(self)

    def path_gradients(
        self,
        points: Sequence[float],
        weights: Sequence[float],
        finish: Finish,
        *,
        batch_size: int | None = None,
        complete: bool = False,
    ) -> Attribution:
        """Gradients of the explained outputs, summed along the straight path from zero.

        At a point a of the path the features are a x and the edge mask is a, or either stays as it
        is if it is not attributed. With one point, 1, and
        the weight 1 this is the gradient at the inputs.

        Args:
            points: [S], ascending, in [0, 1].
            weights: [S], of the points.
            finish: Makes scores of the summed gradients; see :data:`Finish`. Those by the edge
                mask, whose value is 1, go through it as they are.
            batch_size: Points in a pass; None for as many as the memory budget takes.
            complete: Whether to give ``convergence_delta`` [R] besides: the sum of all scores minus
                F(x) - F(0).
        """
        change = None
        if list(points) == list(weights) == [1.0]:
            node_mask, edge_mask = self._gradient()
        else:
            node_mask, edge_mask, change = self._summed(points, weights, batch_size, complete)
        scores = torch.empty_like(node_mask)
        finish(node_mask, self.x, scores)
        edges = torch.empty_like(edge_mask[:, None])
        finish(edge_mask[:, None], torch.ones_like(edges), edges)
        attribution = Attribution(scores, edges[:, 0])
        return self.completed(attribution, change) if complete else attribution

    def _gradient(self) -> tuple[Tensor, Tensor]:
        """The gradients at the inputs, [n, F] and [e]."""
        by_x, by_mask = self.gradients(self.x[None], self.edge_mask[None], full=True)
        return by_x[0].to(self.edge_mask.dtype), by_mask[0]

    def _summed(
        self,
        points: Sequence[float],
        weights: Sequence[float],
        batch_size: int | None,
        complete: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The gradients summed along the path, [n, F] and [e]; see :meth:`path_gradients`.

        And F(x) - F(0) [R], if ``complete``: both ends are in the last pass, without weight.
        """
        size = batch_size or self.copies
        # Rounded as Captum rounds them.
        share = torch.tensor(weights, dtype=torch.float32).to(self.edge_mask)
        node_mask = torch.zeros_like(self.x, dtype=self.edge_mask.dtype)
        edge_mask, outputs = torch.zeros_like(self.edge_mask), []
        points = [*points, *(0.0, 1.0) * complete]
        steps = self.edge_mask.new_tensor(points).split(size)
        for begin, a in zip(range(0, len(points), size), steps, strict=True):
            x, mask = self.at(a)
            # The host knows where a pass ends: none is waited for.
            full = points[begin + len(a) - 1] == 1.0
            output, by_x, by_mask = self._differentiated(x, mask, full=full)
            outputs.append(output[-2:])
            w = share[begin : begin + size]
            # Weights first: nothing of size S x n x F is made besides the gradient.
            node_mask += torch.einsum("s,snf->nf", w.to(by_x), by_x[: len(w)])
            edge_mask += w @ by_mask[: len(w)]
        if not complete:
            return node_mask, edge_mask, None
        nothing, everything = self.explained(torch.cat(outputs)[-2:])
        return node_mask, edge_mask, everything - nothing

    def at(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs at points ``a`` [S] of the path from zero, [S, n, F] and [S, e]."""
        x = a[:, None, None] * self.x if self.with_features else self.x.expand(len(a), -1, -1)
        mask = a[:, None] * self.edge_mask if self.with_edges else self.edge_mask.expand(len(a), -1)
        return x, mask

    def gradients(
        self, x: Tensor, edge_mask: Tensor, *, full: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Gradients of the explained outputs by variants of the inputs, [B, n, F] and [B, e].

        By what is not attributed, and by features that the outputs do not depend on, zeros.

        Args:
            x: [B, n, F].
            edge_mask: [B, e].
            full: Whether the last variant is the full input.
        """
        return self._differentiated(x, edge_mask, full=full)[1:]

    def _differentiated(
        self, x: Tensor, edge_mask: Tensor, *, full: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs [B, R, C], and what :meth:`gradients` gives."""
        # Leaves of their own: the gradient at these points, not through what made them.
        x, edge_mask = x.detach(), edge_mask.detach()
        wanted = []
        if self.with_features:
            wanted.append(x.requires_grad_())
        if self.with_edges:
            wanted.append(edge_mask.requires_grad_())
        predicted = self.predict(x, edge_mask)
        if full:
            self.check(predicted[-1].detach())
        if self.explained_form is None:
            # The gradient of the explained outputs' sum by all outputs, known without autograd.
            chosen = self.targets.expand(len(predicted), -1)[..., None]
            explained = torch.zeros_like(predicted).scatter_(2, chosen, 1.0)
            found = iter(torch.autograd.grad(predicted, wanted, explained, materialize_grads=True))
        else:
            total = self.explained(predicted).sum()
            found = iter(torch.autograd.grad(total, wanted, materialize_grads=True))
        by_x = next(found) if self.with_features else edge_mask.new_zeros(()).expand(x.shape)
        by_mask = next(found) if self.with_edges else torch.zeros_like(edge_mask)
        return predicted.detach(), by_x, by_mask

    def objective(self, losses: Losses, calls: int) -> Objective:
        """Losses [R] of the outputs [R, C], and their gradients, at ``calls`` inputs in turn.

        This default differentiates the model each time.
        """
        return Objective(self, losses)

    def completed(self, attribution: Attribution, change: Tensor | None = None) -> Attribution:
        """The attribution with ``convergence_delta``: its sum minus F(x) - F(0), for each node.

        ``change`` [R] is the latter, if it is known.
        """
        missing = self.total(attribution) - (self.change() if change is None else change)
        extra = {**attribution.extra, "convergence_delta": missing}
        return Attribution(attribution.node_mask, attribution.edge_mask, extra)

    def masked_outputs(self, kept: Tensor, nodes: Tensor | None = None) -> Tensor:
        """The outputs [B, R, C] with the messages of all edges but ``kept`` [B, e] set to zero.

        And, if given, with the features of all nodes of the computation graphs but ``nodes``
        [B, n] set to zero.
        """
        x = self.x.expand(len(kept), -1, -1)
        if nodes is not None:
            x = x.clone()
            x[:, self.node_rows] *= nodes[..., None]
        return self.predict(x, self.edge_masks(kept))

    def coalition_outputs(self, coalitions: Tensor) -> Tensor:
        """The explained output [B] of one node if only ``coalitions`` [B, n + e] take part.

        The players are the nodes of its computation graph, then its edges, as far as they are
        attributed. A node that does not take part has features of zero, all of them; it still sends
        its messages. An edge that does not sends none, in all layers; degrees stay.
        """
        outputs = []
        for some in coalitions.to(self.edge_mask).split(self.coalitions_at_once):
            nodes, edges = some.split(self.player_counts, dim=1)
            if not self.with_edges:
                edges = some.new_ones(len(some), self.graphs.edge_counts[0])
            kept_nodes = nodes if self.with_features else None
            outputs.append(self.explained(self.masked_outputs(edges, kept_nodes))[:, 0])
        return torch.cat(outputs)

    @property
    def player_counts(self) -> list[int]:
        """Nodes and edges of the one node's computation graph that are attributed."""
        nodes, edges = self.graphs.node_counts[0], self.graphs.edge_counts[0]
        return [nodes * self.with_features, edges * self.with_edges]

    @property
    def coalitions_at_once(self) -> int:
        """How many coalitions of one node's players one pass may take, at least 1."""
        within_budget = self.memory_budget // (PLAYER_BYTES * max(1, sum(self.player_counts)))
        return max(1, min(self.copies, within_budget))

    def outputs_around(self, x: Tensor) -> Tensor:
        """The outputs [B, n, C] at all nodes of one computation graph, by their features [B, n, F].

        Each sees its own surroundings, which go on beyond the computation graph. For models that
        classify nodes. This default runs the whole graph for each variant.
        """
        prepared = self.prepared
        edge_index, inputs = prepared.given
        outputs = []
        for features in x:
            everywhere = prepared.x.index_copy(0, self.graphs.n_id, features)
            with prepared.borrowed() as copy:
                output = copy.run(everywhere, edge_index, prepared.with_batch(inputs))
            outputs.append(output[self.graphs.n_id])
        return torch.stack(outputs)

    def leave_one_out(self) -> tuple[Tensor, Tensor]:
        """What each output loses without each node [n] and each edge [e] of its computation graph.

        See :meth:`coalition_outputs`. This default takes one node at a time.
        """
        counts = self.player_counts
        number = torch.arange(sum(counts), device=self.x.device)
        left = [
            self.coalition_outputs(number != some[:, None])
            for some in number.split(self.coalitions_at_once)
        ]
        whole = self.coalition_outputs(torch.ones_like(number)[None])
        nodes, edges = (whole - torch.cat([*left, whole[:0]])).split(counts)
        none = whole.new_zeros(len(self.graphs.n_id)), whole.new_zeros(len(self.graphs.e_id))
        return nodes if self.with_features else none[0], edges if self.with_edges else none[1]

    def insertion_outputs(self, orders: Tensor) -> Tensor:
        """The output [T, n + e + 1] of one node as its players join in ``orders`` [T, n + e].

        See :meth:`coalition_outputs`; the first output is that with none of them.
        """
        join = orders.argsort(dim=1)
        nobody = torch.zeros_like(join[:1], dtype=torch.bool)
        before = self.coalition_outputs(nobody).expand(len(orders), 1)
        moments = torch.cartesian_prod(
            *(torch.arange(size, device=self.x.device) for size in orders.shape)
        )
        after = [
            self.coalition_outputs(join[order] <= moment[:, None])
            for order, moment in (some.unbind(1) for some in moments.split(self.coalitions_at_once))
        ]
        return torch.cat([before, torch.cat([*after, before[0, :0]]).view(orders.shape)], dim=1)

    # --------------------------------------------------------------------------- what follows of it

    @property
    def owners(self) -> Tensor:
        """To whom random numbers belong, [R]: a node by its id, and a link by those of its ends.

        A graph is as if it were alone.
        """
        if self.prepared.links is not None:
            source, target = self.prepared.links[:, self.nodes]
            return source * self.prepared.num_nodes + target
        return self.nodes * 0 if self.prepared.task_level == "graph" else self.nodes

    def unchanged(self) -> bool:
        """Whether the data that the computation graphs read are as they were prepared."""
        return self.prepared.unchanged(self.graphs, self.x[self.node_rows])

    def edge_masks(self, kept: Tensor) -> Tensor:
        """The masks [B, e'] that ``predict`` takes, for ``kept`` [B, e]."""
        masks = self.edge_mask.repeat(len(kept), 1)
        masks[:, self.edge_rows] = kept.to(masks)
        return masks

    def in_computation_graphs(self, attribution: Attribution) -> Attribution:
        """The attribution's rows that belong to the computation graphs, in their order."""
        rows = self.node_rows, self.edge_rows
        if all(isinstance(one, slice) for one in rows):  # all of them
            return attribution
        return Attribution(
            attribution.node_mask[self.node_rows],
            attribution.edge_mask[self.edge_rows],
            attribution.extra,
        )

    def __call__(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """The explained outputs, summed over the nodes, [B]: what Captum differentiates.

        Computation graphs share nothing: the gradient of the sum holds the gradient of each.
        """
        return self.outputs(x, edge_mask).sum(dim=1)

    def outputs(self, x: Tensor, edge_mask: Tensor) -> Tensor:
        """The output of each node's target class, [B, R]."""
        return self.explained(self.predict(x, edge_mask))

    def explained(self, predicted: Tensor) -> Tensor:
        """Of the outputs [B, R, C] those of each node's target, [B, R]."""
        if self.explained_form is not None:
            predicted = self.explained_form(predicted)
        targets = self.targets.expand(len(predicted), -1)[..., None]
        return predicted.gather(2, targets).squeeze(2)

    def change(self) -> Tensor:
        """F(x) - F(0) of each explained output, [R].

        0 is no features and no messages, or of either what is attributed.
        """
        with torch.no_grad():
            full = self.predict(self.x[None], self.edge_mask[None])
            self.check(full[0])
            nothing = self.outputs(*self.at(self.edge_mask.new_zeros(1)))
            return (self.explained(full) - nothing)[0]

    def total(self, attribution: Attribution) -> Tensor:
        """The sum of each node's scores, over features and edges, [R]."""
        total = self.edge_mask.new_zeros(len(self.graphs))
        total.index_add_(0, self.node_batch, attribution.node_mask.sum(dim=1))
        total.index_add_(0, self.edge_batch, attribution.edge_mask)
        return total

    def require_scores(self, given: object, method: str) -> Attribution:
        """What a method gave, if it has a score for each node and edge.

        Raises:
            ValueError: It is none, or of other shapes.
        """
        found: list[Any] = [given]
        if isinstance(given, Attribution):
            found = [given.node_mask, given.edge_mask]
            if all(isinstance(one, Tensor) for one in found) and [o.dim() for o in found] == [2, 1]:
                sizes = len(found[0]), len(found[1])
                own = len(self.graphs.n_id), len(self.graphs.e_id)
                # Baselines score the computation graph alone; others what lies around it, too.
                if sizes == own or sizes == (len(self.x), len(self.edge_mask)):
                    return given
        shown = [list(o.shape) if isinstance(o, Tensor) else type(o).__name__ for o in found]
        wanted = f"[{len(self.x)}, {self.x.size(1)}] and [{len(self.edge_mask)}]"
        raise ValueError(
            f"{method}: attribute() must return an Attribution of two tensors, node_mask and "
            f"edge_mask, {wanted}; got {' and '.join(map(str, shown))}"
        )

    def explanations(self, attribution: Attribution) -> Iterator[Explanation]:
        """One PyG explanation for each node, of its own computation graph."""
        part, level = self.in_computation_graphs(attribution), self.prepared.task_level
        alone = len(self.graphs) == 1
        masks = ("n_id", "e_id", "edge_index", "node_mask", "edge_mask")
        names = (*masks, OF_UNITS[level], "target", "prediction")
        extras = {name: tuple(extra) for name, extra in part.extra.items()}
        for r, row in enumerate(self._rows(part)):
            # Each explanation owns its storage: one that is kept does not keep all others.
            values = {
                name: value if alone and name in masks else value.clone()
                for name, value in zip(names, row, strict=True)
            }
            values.update((name, extra[r].clone()) for name, extra in extras.items())
            if level == "edge":  # as a model takes it, and which of those that were asked for
                values["edge_label_index"] = values["edge_label_index"][:, None]
                values["link"] = self.nodes[r].clone()
            yield _compat.explanation(values)

    def _rows(self, part: Attribution) -> Iterable[tuple[Tensor, ...]]:
        """Of each node what its explanation has: ids, edges, masks, itself, target, prediction."""
        graphs, prepared = self.graphs, self.prepared
        e_id = graphs.e_id if prepared.e_id is None else prepared.e_id[graphs.e_id]
        local, roots = graphs.edge_index, self.nodes
        masks = part.node_mask.detach(), part.edge_mask.detach()
        predicted = prepared.output.index_select(0, self.nodes)
        if len(graphs) == 1:
            root = (roots if prepared.task_level == "graph" else graphs.roots)[0]
            return [(graphs.n_id, e_id, local, *masks, root, self.targets[0], predicted[0])]
        nodes, edges = graphs.node_counts, graphs.edge_counts
        shift = graphs.n_ptr[:-1]
        if prepared.task_level != "graph":
            roots = graphs.roots - shift.view(-1, *[1] * (graphs.roots.dim() - 1))
        return zip(
            graphs.n_id.split(nodes),
            e_id.split(edges),
            (local - shift[graphs.edge_batch]).split(edges, dim=1),
            masks[0].split(nodes),
            masks[1].split(edges),
            roots.unbind(),
            self.targets.unbind(),
            predicted.unbind(),
            strict=True,
        )


class ReferenceProblem(Problem):
    """One node on the whole graph, or one graph by itself, for what is published elsewhere.

    Attributes:
        index: The row [1] of the output there that is explained; None if it is the only one.
    """

    index: Tensor | None

    @abstractmethod
    def run_pyg(self, algorithm: ExplainerAlgorithm) -> Explanation:
        """What one of PyG's explainers, connected to its settings, gives for node and target."""

    def masks_for_pyg(self, nodes: Tensor, edges: Tensor) -> tuple[Any, Any]:
        """Logits of masks, as ``x`` and ``edge_mask``, in the form that PyG's explainers have."""
        return nn.Parameter(nodes), nn.Parameter(edges)

    @abstractmethod
    def train_pyg(self, algorithm: Any, epoch: int) -> float:
        """One step of ``algorithm.train``, for those of PyG's explainers that are trained."""


class Engine(ABC):
    """A way to compute what a problem offers.

    Attributes:
        name: As in ``explainers.load(..., engine=name)``.
        takes_passes: Whether points of a path go through the model in passes, whose size can be
            chosen.
        closed_form: Whether coalitions cost no passes, so that many nodes can share a problem.
        as_published: Whether it runs what Captum and PyG have published, where they have.
        general: Whether it is meant for every model: that it refuses one is news.
        explains_forms: Whether everything that it computes is of what ``Problem.explained`` makes
            of the outputs, so that it may be another form of them.
    """

    name: ClassVar[str]
    takes_passes: ClassVar[bool] = True
    closed_form: ClassVar[bool] = False
    as_published: ClassVar[bool] = False
    general: ClassVar[bool] = True
    explains_forms: ClassVar[bool] = False

    @abstractmethod
    def refusal(self, prepared: PreparedModel) -> str | None:
        """Why the engine cannot explain this model on this graph, or None if it can."""

    def gains(self, prepared: PreparedModel, along_path: bool) -> bool:
        """Whether it is faster than those after it, at many points of a path or at a few inputs."""
        return True

    @abstractmethod
    def problems(
        self,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int,
        copies: int = 1,
        most: int | None = None,
    ) -> Iterator[Problem]:
        """Cuts nodes into problems.

        Args:
            prepared: Model and graph.
            nodes: [R].
            targets: [R].
            memory_budget: Bytes that one pass may take, roughly.
            copies: Variants of a computation graph that the method wants in a pass.
            most: Nodes that may share a problem; None for as many as the budget takes.
        """


def unit(explanation: Explanation) -> int:
    """What an explanation is of: the node's id in the data, or the graph's in the batch.

    Of a link its place among those that were given, by ``edges`` or ``data.edge_label_index``.
    """
    for name in ("graph", "link", "unit"):
        if name in explanation:
            return int(explanation[name])
    of_type = explanation[explanation.node_type] if "node_type" in explanation else explanation
    return int(of_type.n_id[explanation.index])


def groups(costs: Tensor, budget: float, most: int | None = None) -> Iterator[slice]:
    """Cuts a list into runs that cost at most ``budget`` and have 1 to ``most`` entries."""
    start, total = 0, 0.0
    for i, cost in enumerate(costs.tolist()):
        if i > start and (total + cost > budget or i - start == most):
            yield slice(start, i)
            start, total = i, 0.0
        total += cost
    if start < len(costs):
        yield slice(start, len(costs))
