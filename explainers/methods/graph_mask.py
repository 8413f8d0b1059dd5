"""GraphMask."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from explainers.engines import registry
from explainers.engines.base import Attribution, Problem
from explainers.methods._seeded import generators
from explainers.methods._trained import TrainedMethod
from explainers.prepare import PreparedModel
from explainers.prepare.copies import ModelCopy
from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

HIDDEN = 64
# Of the hard concrete distribution, arXiv:2010.00577, appendix A; a new gate is open.
BETA, GAMMA, ZETA, OPEN = 1 / 3, -0.2, 1.2, 2.0
# Of the multiplier, before the softplus: where it starts, its range, and RMSprop's rate.
START, RANGE, MULTIPLIER_LR = 3.0, (-2.0, 30.0), 0.01


@dataclass(kw_only=True)
class GraphMask(TrainedMethod):
    """Learns which messages of each layer can be replaced by a constant one without harm.

    Schlichtkrull et al., arXiv:2010.00577. For every layer, a gate looks at a message and at the
    embeddings of its two ends; where it is closed, a learned baseline takes the message's place.
    Gates are trained on a sample of predictions, the last layer first, to be closed as often as the
    divergence KL(y || y_hat) of the predictions allows: a Lagrangian whose multiplier follows how
    far the divergence is beyond the allowance. An edge scores the probability that its gate is
    open, in the layer where that is largest. Features are not scored. Regressions are refused: the
    divergence is one of probabilities.

    There is no engine ``stock``: PyG's ``GraphMaskExplainer`` re-draws the gates after it has given
    them to the optimiser if a layer's input and output differ in width, so that they are never
    trained, and it normalises the messages of the model that it explains.

    Args:
        epochs: Times that every training node gets its step of Adam, for each layer.
        lr: Adam's learning rate.
        allowance: The divergence that is allowed, in nats.
        penalty: The weight of the share of open gates.
    """

    engines: ClassVar[tuple[str, ...]] = ("batched",)
    signed: ClassVar[bool] = False
    target_dependent: ClassVar[bool] = False
    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    homogeneous_only: ClassVar[str] = (
        "it learns gates for layers that send messages along all edges"
    )
    citation: ClassVar[str] = "Schlichtkrull et al. 2021, arXiv:2010.00577"

    epochs: int = 10
    lr: float = 0.003
    allowance: float = 0.03
    penalty: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("epochs", 1)
        for option in ("lr", "penalty"):
            if not getattr(self, option) > 0:
                raise ValueError(f"{option} must be above 0, got {getattr(self, option)!r}")
        if not self.allowance >= 0:
            raise ValueError(f"allowance must be 0 or more, got {self.allowance!r}")

    def learn(self, prepared: PreparedModel, problems: Iterable[Problem]) -> _Gates:
        """The gates, one for each time that messages are sent; trained on the problems."""
        lessons = [_Lesson(problem, self.seed) for problem in problems if len(problem.edge_mask)]
        gates = self._new_gates(prepared)
        multiplier = prepared.output.new_tensor(START, requires_grad=True)
        ascent = torch.optim.RMSprop([multiplier], lr=MULTIPLIER_LR, maximize=True)
        for layer in reversed(range(len(gates))):
            descent = torch.optim.Adam(gates[layer:].parameters(), lr=self.lr, fused=True)
            losses = prepared.output.new_zeros(self.epochs)
            for epoch, lesson in itertools.product(range(self.epochs), lessons):
                open_gates, divergence = lesson.gated(gates, layer)
                excess = divergence - self.allowance
                loss = self.penalty * open_gates + F.softplus(multiplier) * excess
                descent.zero_grad()
                ascent.zero_grad()
                loss.backward()
                descent.step()
                ascent.step()
                multiplier.data.clamp_(*RANGE)
                losses[epoch] += loss.detach() / len(lessons)
            gates.losses = tuple(losses.tolist()) if lessons else ()
        return gates.requires_grad_(False)

    def _new_gates(self, prepared: PreparedModel) -> _Gates:
        first = torch.zeros(1, dtype=torch.long, device=prepared.x.device)
        engine = registry.get(self.engines[0])
        (problem,) = engine.problems(prepared, first, first, self.memory_budget)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            sizes = ([part.size(1) for part in sent.parts] for sent in record(problem))
            return _Gates(map(_Gate, sizes)).to(prepared.output)

    def attribute(self, problem: Problem) -> Attribution:
        """The probability that a message is needed, in [0, 1]; zeros for the features."""
        learned = self.learned(problem.prepared)
        edge_mask = torch.zeros_like(problem.edge_mask)
        for gate, sent in zip(learned, record(problem), strict=True):
            needed = open_probability(gate(sent.parts))
            edge_mask[sent.at] = edge_mask[sent.at].maximum(needed)
        return Attribution(
            problem.no_features(), edge_mask, self.state(learned, problem, edge_mask)
        )

    def _choose(self, prepared: PreparedModel, *, warn: bool) -> str:
        try:
            if is_regression(prepared.config):
                raise ValueError(
                    "the divergence that it allows is one of probabilities, and the model returns "
                    "a real number"
                )
            return super()._choose(prepared, warn=warn)
        except ValueError as error:
            raise ValueError(
                f"graph_mask does not support model {prepared.name}: {error}; use another method, "
                "such as 'gnn_explainer'"
            ) from error


class _Lesson:
    """A prediction to learn from, and the messages behind it."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.sent = record(problem)
        self._expected = self._distribution(problem.prepared.output[problem.nodes])
        (self._generator,) = generators(seed, problem.owners)

    def gated(self, gates: nn.ModuleList, first: int) -> tuple[Tensor, Tensor]:
        """With the gates from layer ``first`` on: how many are open, and the divergence.

        The former is the expected share of each layer's messages, added up over the layers.
        """
        problem = self.problem
        replaced: list[Callable[[Tensor], Tensor]] = [lambda message: message] * first
        open_gates = problem.edge_mask.new_zeros(())
        for gate, sent in zip(gates[first:], self.sent[first:], strict=True):
            logits, baseline = gate(sent.parts), gate.get_parameter("baseline")
            open_gates = open_gates + open_probability(logits).sum() / max(len(logits), 1)
            drawn = hard_concrete(logits, self._uniform(len(logits)))
            replaced.append(_Replacement(sent.at, drawn, baseline))
        with problem.prepared.borrowed() as copy, intercepted(explained(copy), replaced):
            output = problem.predict(problem.x[None], problem.edge_mask[None])[0]
        predicted = self._distribution(output).clamp(min=1e-30)
        return open_gates, F.kl_div(predicted.log(), self._expected, reduction="sum").to(output)

    def _distribution(self, output: Tensor) -> Tensor:
        """The probabilities of the classes, or of both outcomes, float64."""
        config = self.problem.prepared.config
        p = to_probabilities(output, config)
        return p if is_multiclass(config) else torch.cat([p, 1 - p], dim=-1)

    def _uniform(self, count: int) -> Tensor:
        drawn = torch.from_numpy(self._generator.random(count))
        return drawn.clamp(1e-6, 1 - 1e-6).to(self.problem.edge_mask)


class _Gate(nn.Module):
    """Says from a message and its two ends, [e, d] each, whether the gate is open, [e] logits."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(size, HIDDEN, bias=False) for size in sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in sizes)
        self.last = nn.Linear(HIDDEN, 1)
        bound = 1 / math.sqrt(sizes[1])
        self.baseline = nn.Parameter(torch.empty(sizes[1]).uniform_(-bound, bound))

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        layers = zip(self.linears, self.norms, parts, strict=True)
        hidden = sum(norm(linear(part)) for linear, norm, part in layers) / len(parts)
        return self.last(hidden.relu()).squeeze(-1) + OPEN


class _Gates(nn.ModuleList):
    """A gate for each time that messages are sent.

    Attributes:
        losses: Mean loss of each epoch in which all gates were trained, [epochs].
    """

    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Sent:
    """What is sent at one time by messages that can reach the prediction.

    Attributes:
        at: Which of the edges those are, [k].
        parts: Embedding of the source, message and embedding of the target, [k, d] each. The
            embeddings are those that the layer is given.
    """

    at: Tensor
    parts: tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class _Replacement:
    """Puts a baseline [d] in the place of the messages ``at`` [k] whose gates [k] are closed."""

    at: Tensor
    gate: Tensor
    baseline: Tensor

    def __call__(self, message: Tensor) -> Tensor:
        flat, gate = message.flatten(1), self.gate[:, None]
        mixed = gate * flat[self.at] + (1 - gate) * self.baseline
        return flat.index_copy(0, self.at, mixed).view_as(message)


def record(problem: Problem) -> list[_Sent]:
    """What is sent along the edges, for each time that the model sends messages."""
    source, target = problem.graphs.edge_index
    times, distance = problem.prepared.hops, distances(problem)
    sent: list[_Sent] = []
    given: list[Tensor] = []

    def remember(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0] if args else kwargs["x"]
        given.append(x if isinstance(x, Tensor) else x[0])

    def keep(message: Tensor) -> Tensor:
        # Each later time carries it one hop further. What lies beyond is cut off from its own
        # surroundings here, and its messages would not be those of the whole graph.
        at = (distance[target] < times - len(sent)).nonzero().view(-1)
        parts = given[-1][source[at]], message.flatten(1)[at], given[-1][target[at]]
        sent.append(_Sent(at, parts))
        return message

    with problem.prepared.borrowed() as copy:
        layers = explained(copy)
        handles = [layer.register_forward_pre_hook(remember, with_kwargs=True) for layer in layers]
        try:
            with torch.no_grad(), intercepted(layers, keep):
                problem.predict(problem.x[None], problem.edge_mask[None])
        finally:
            for handle in handles:
                handle.remove()
    return sent


def explained(copy: ModelCopy) -> list[MessagePassing]:
    """The layers whose messages are explained; ``explain=False`` exempts one, as in PyG."""
    return [layer for layer in copy.layers if layer.explain is not False]


def distances(problem: Problem) -> Tensor:
    """Hops from each node to the explained one, [n]; 0 if a graph is explained."""
    graphs = problem.graphs
    if problem.prepared.task_level == "graph":
        return torch.zeros_like(graphs.n_id)
    source, target = graphs.edge_index
    distance = torch.full_like(graphs.n_id, problem.prepared.hops)
    distance[graphs.roots] = 0
    for hop in range(1, problem.prepared.hops):
        reached = source[distance[target] == hop - 1]
        distance[reached] = distance[reached].clamp(max=hop)
    return distance


@contextmanager
def intercepted(
    layers: Sequence[MessagePassing],
    change: Callable[[Tensor], Tensor] | Sequence[Callable[[Tensor], Tensor]],
) -> Iterator[None]:
    """Inside, messages go through ``change``, or through one of several in turn."""
    turns = None if callable(change) else iter(change)

    def hook(layer: Any, inputs: Any, message: Tensor) -> Tensor:
        return (change if turns is None else next(turns))(message)  # type: ignore[operator]

    handles = [layer.register_message_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def hard_concrete(logits: Tensor, uniform: Tensor) -> Tensor:
    """Gates, 0 or 1, with the gradient of the number in between that was rounded."""
    noise = uniform.log() - (1 - uniform).log()
    gate = ((noise + logits) / BETA).sigmoid() * (ZETA - GAMMA) + GAMMA
    gate = gate.clamp(0, 1)
    return gate + ((gate > 0.5).to(gate) - gate).detach()


def open_probability(logits: Tensor) -> Tensor:
    """The probability that a gate is not quite closed."""
    return (logits - BETA * math.log(-GAMMA / ZETA)).sigmoid()


METHOD = GraphMask
