"""PGExplainer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.explain import PGExplainer as PyGPGExplainer
from torch_geometric.explain.config import ExplainerConfig
from torch_geometric.nn import Linear
from torch_geometric.utils import k_hop_subgraph

from explainers.engines import registry
from explainers.engines.base import Attribution, Problem, ReferenceProblem
from explainers.methods._learning import likelihood_losses
from explainers.methods._seeded import generators
from explainers.methods._trained import TrainedMethod
from explainers.prepare import PreparedModel


@dataclass(kw_only=True)
class PGExplainer(TrainedMethod):
    """Learns one network that tells from the embeddings of an edge's ends whether it matters.

    Luo et al., arXiv:2011.04573, eq. 6 to 10, as PyG defines it: its network over the embeddings
    of both ends and of the explained node (the output of the last message-passing layer), its
    loss with its coefficients and temperatures, a step of Adam for each node in each epoch. It is
    trained on the model's predictions for a sample of nodes and then explains any node at the
    cost of looking it up; the class to explain plays no part. Of one binary output it learns the
    outcome that the model predicts, of one real number its value; models with several of either
    are refused. Features are not scored. For graphs the network sees the ends of the edge alone.

    The first weights belong to the seed, and the noise to seed, node and epoch, so that what is
    learned does not depend on the engine. ``batched`` trains on the computation graphs, node after
    node as ``stock`` does.

    Args:
        epochs: Times that every training node gets its step.
        lr: Adam's learning rate.
        edge_size: Weight of the sum of the mask over the edges.
        edge_ent: Weight of the mean of the edges' binary entropies.
    """

    signed: ClassVar[bool] = False
    target_dependent: ClassVar[bool] = False
    granularity: ClassVar[tuple[str, ...]] = ("edges",)
    not_links: ClassVar[str] = "it is defined for nodes and graphs"
    homogeneous_only: ClassVar[str] = "it learns from embeddings that all nodes have in common"
    citation: ClassVar[str] = "Luo et al. 2020, arXiv:2011.04573"

    epochs: int = 30
    lr: float = 0.003
    edge_size: float = 0.05
    edge_ent: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("epochs", 1)
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr!r}")
        for option in ("edge_size", "edge_ent"):
            if not getattr(self, option) >= 0:
                raise ValueError(f"{option} must be 0 or more, got {getattr(self, option)!r}")

    def learn(self, prepared: PreparedModel, problems: Iterable[Problem]) -> _Learned:
        """Trains on the problems, in their order, in every epoch; on computation graphs."""
        learned = _Learned(prepared, self)
        algorithm = learned.algorithm
        steps = []
        for problem in problems:
            drawn = _Noise(prepared, problem.nodes, self.seed, self.epochs)
            if len(drawn.e_id):  # PyG's loss has the mean over the edges
                steps.append((problem, drawn, torch.searchsorted(drawn.e_id, problem.graphs.e_id)))
        losses = prepared.output.new_zeros(self.epochs)
        for epoch in range(self.epochs):
            temperature = algorithm._get_temperature(epoch)
            for problem, drawn, inside in steps:
                algorithm.optimizer.zero_grad()
                logits = learned.logits(prepared.edge_index[:, drawn.e_id], problem.nodes)
                algorithm.uniform, algorithm.problem = drawn.uniform[epoch], problem
                mask = algorithm._concrete_sample(logits, temperature)
                masks = problem.edge_masks(mask.sigmoid()[inside][None])
                output = problem.predict(problem.x[None], masks)[0]
                loss = algorithm._loss(output, problem.targets, mask)
                loss.backward()
                algorithm.optimizer.step()
                losses[epoch] += loss.detach() / len(steps)
        learned.losses = tuple(losses.tolist()) if steps else ()
        algorithm.problem = None  # what is kept must not refer to the model
        return learned

    def learn_reference(
        self, prepared: PreparedModel, problems: Iterable[ReferenceProblem]
    ) -> _Learned:
        """With PyG's own ``train``, on the whole graph."""
        learned = _Learned(prepared, self)
        algorithm = learned.algorithm
        steps = []
        for problem in problems:
            drawn = _Noise(prepared, problem.nodes, self.seed, self.epochs)
            if len(drawn.e_id):
                at = problem.edge_rows if prepared.task_level == "graph" else drawn.e_id
                steps.append((problem, drawn, at))
        losses = [0.0] * self.epochs
        for epoch in range(self.epochs):
            for problem, drawn, at in steps:
                algorithm.problem = problem
                algorithm.uniform = torch.full_like(problem.edge_mask, 0.5)
                algorithm.uniform[at] = drawn.uniform[epoch]
                losses[epoch] += problem.train_pyg(algorithm, epoch) / len(steps)
        learned.losses = tuple(losses) if steps else ()
        algorithm._curr_epoch = self.epochs - 1
        algorithm.problem = None  # as above
        return learned

    def attribute(self, problem: Problem) -> Attribution:
        """The probability that an edge matters, in (0, 1); zeros for the features."""
        learned, graphs = self.learned(problem.prepared), problem.graphs
        ends = graphs.n_id[graphs.edge_index]
        explained = problem.nodes[graphs.edge_batch]
        edge_mask = torch.zeros_like(problem.edge_mask)
        with torch.no_grad():
            edge_mask[problem.edge_rows] = learned.logits(ends, explained).sigmoid()
        return Attribution(
            problem.no_features(), edge_mask, self.state(learned, problem, edge_mask)
        )

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """The same by PyG, over the whole graph."""
        learned = self.learned(problem.prepared)
        edge_mask = problem.run_pyg(learned.algorithm).edge_mask
        return Attribution(
            problem.no_features(), edge_mask, self.state(learned, problem, edge_mask)
        )


class _PyG(PyGPGExplainer):
    """PyG's PGExplainer with uniform numbers that are given to it, one for each logit.

    And with the model's own number of hops (PyG counts its layers, however often they run), and the
    model's own prediction as the aim where the outputs are no classes.
    """

    hops: int
    uniform: Tensor
    problem: Problem | None = None

    def _get_hard_masks(
        self, model: nn.Module, index: Tensor, edge_index: Tensor, num_nodes: int
    ) -> tuple[None, Tensor]:
        return None, k_hop_subgraph(index, self.hops, edge_index, num_nodes=num_nodes)[3]

    def _concrete_sample(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        bias = self.coeffs["bias"]
        noise = (1 - 2 * bias) * self.uniform + bias
        return (noise.log() - (1 - noise).log() + logits) / temperature

    # PyG takes what it is given as the outcome or the value; ours is the column to explain.
    def _loss_binary_classification(self, y_hat: Tensor, y: Tensor) -> Tensor:
        assert self.problem is not None
        return likelihood_losses(y_hat.view(1, -1), self.problem).mean()

    def _loss_regression(self, y_hat: Tensor, y: Tensor) -> Tensor:
        assert self.problem is not None
        return likelihood_losses(y_hat.view(1, -1), self.problem).mean()


class _Learned:
    """The network that scores edges, with the embeddings that it looks at.

    Args:
        prepared: Model and graph; not kept.
        method: Its options are; not kept.

    Attributes:
        algorithm: PyG's explainer.
        losses: Mean loss of the training nodes in each epoch.
    """

    losses: tuple[float, ...] = ()

    def __init__(self, prepared: PreparedModel, method: PGExplainer) -> None:
        self._embeddings = registry.embeddings(prepared)
        self._level = prepared.task_level
        width = (2 if self._level == "graph" else 3) * self._embeddings.size(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(method.seed)
            self.algorithm = _PyG(epochs=method.epochs, lr=method.lr)
            mlp = nn.Sequential(Linear(width, 64), nn.ReLU(), Linear(64, 1)).to(prepared.output)
        # Given to the constructor, they would be written into PyG's class, and hold for all.
        weights = {"edge_size": method.edge_size, "edge_ent": method.edge_ent}
        self.algorithm.coeffs = {**PyGPGExplainer.coeffs, **weights}
        self.algorithm.mlp = mlp
        self.algorithm.optimizer = torch.optim.Adam(mlp.parameters(), lr=method.lr)
        self.algorithm.hops = prepared.hops
        self.algorithm.connect(
            ExplainerConfig(explanation_type="phenomenon", edge_mask_type="object"),
            prepared.config,
        )

    def logits(self, ends: Tensor, explained: Tensor) -> Tensor:
        """How much edges [2, e] matter to the ``explained`` nodes, [e] or one, before a sigmoid.

        To a graph they matter whichever it is.
        """
        z = self._embeddings
        parts = [z[ends[0]], z[ends[1]]]
        if self._level == "node":
            parts.append(z[explained].expand(ends.size(1), -1))
        return self.algorithm.mlp(torch.cat(parts, dim=-1)).view(-1)


class _Noise:
    """Uniform numbers for the edges that the loss of a training node or graph looks at.

    These are all edges between nodes of the computation graph, also those into its border, which
    the prediction does not depend on: PyG counts them in the terms for size and entropy.

    Attributes:
        e_id: Ids of the edges, ascending, [e].
        uniform: [epochs, e].
    """

    def __init__(self, prepared: PreparedModel, unit: Tensor, seed: int, epochs: int) -> None:
        inside = torch.zeros(prepared.num_nodes, dtype=torch.bool, device=unit.device)
        inside[prepared.cut(unit).n_id] = True
        self.e_id = inside[prepared.edge_index].all(dim=0).nonzero().view(-1)
        (generator,) = generators(seed, unit)
        uniform = generator.random((epochs, len(self.e_id)))
        self.uniform = torch.from_numpy(uniform).to(prepared.output)


METHOD = PGExplainer
