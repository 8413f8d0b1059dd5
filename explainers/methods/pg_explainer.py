"""PGExplainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.explain import PGExplainer as PyGPGExplainer
from torch_geometric.explain.config import ExplainerConfig, ModelConfig
from torch_geometric.nn import Linear
from torch_geometric.utils import get_embeddings, k_hop_subgraph

from explainers.engines import batched
from explainers.engines.fields import cut
from explainers.engines.network import Network
from explainers.engines.problem import Attribution, Problem
from explainers.engines.stock import StockProblem
from explainers.methods._fitted import FittedMethod
from explainers.methods._seeded import generators


@dataclass(kw_only=True)
class PGExplainer(FittedMethod):
    """Learns one network that tells from the embeddings of an edge's ends whether it matters.

    Luo et al., arXiv:2011.04573, eq. 6 to 10, as PyG defines it: its network over the embeddings
    of both ends and of the explained node (the output of the last message-passing layer), its
    loss with its coefficients and temperatures, a step of Adam for each node in each epoch. It is
    trained on the model's predictions for a sample of nodes and then explains any node at the
    cost of looking it up; the class to explain plays no part. Features are not scored.

    The first weights belong to the seed, and the noise to seed, node and epoch, so that what is
    learned does not depend on the engine. ``batched`` trains on the receptive fields, node after
    node as ``stock`` does.

    Args:
        epochs: Times that every training node gets its step.
        lr: Adam's learning rate.
    """

    signed: ClassVar[bool] = False
    asks_target: ClassVar[bool] = False
    gives: ClassVar[tuple[str, ...]] = ("edges",)
    citation: ClassVar[str] = "Luo et al. 2020, arXiv:2011.04573"

    epochs: int = 30
    lr: float = 0.003

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("epochs", 1)
        if not self.lr > 0:
            raise ValueError(f"lr is to be above 0, got {self.lr!r}")

    def learn(self, network: Network, nodes: Tensor) -> _Learned:
        """Trains on ``nodes`` [R], in their order, in every epoch."""
        learned = _Learned(network, self.epochs, self.lr, self.seed)
        train = self._train_stock if self.engine == "stock" else self._train_batched
        train(network, nodes, learned)
        return learned

    def attribute(self, problem: Problem) -> Attribution:
        """The probability that an edge matters, in (0, 1); zeros for the features."""
        learned = self.learned(problem.network)
        if isinstance(problem, StockProblem):
            network = problem.network
            explanation = learned.algorithm(
                network.whole(),
                network.x,
                network.edge_index,
                target=network.output.argmax(dim=-1),
                index=problem.nodes,
                **network.inputs,
            )
            return Attribution(torch.zeros_like(problem.x), explanation.edge_mask)
        fields = problem.fields
        ends = fields.n_id[fields.edge_index]
        explained = problem.nodes[fields.edge_field]
        with torch.no_grad():
            edge_mask = learned.logits(ends, explained).sigmoid()
        return Attribution(torch.zeros_like(problem.x), edge_mask)

    def _train_stock(self, network: Network, nodes: Tensor, learned: _Learned) -> None:
        """With PyG's own ``train``, on the whole graph."""
        algorithm = learned.algorithm
        noise = [_Noise(network, node, self.seed, self.epochs) for node in nodes.split(1)]
        model, target = network.whole(), network.output.argmax(dim=-1)
        for epoch in range(self.epochs):
            for node, drawn in zip(nodes.split(1), noise, strict=True):
                if not len(drawn.e_id):
                    continue  # PyG's loss has the mean over the edges
                algorithm.uniform = network.x.new_full((network.edge_index.size(1),), 0.5)
                algorithm.uniform[drawn.e_id] = drawn.uniform[epoch]
                algorithm.train(
                    epoch,
                    model,
                    network.x,
                    network.edge_index,
                    target=target,
                    index=node,
                    **network.inputs,
                )
        algorithm._curr_epoch = self.epochs - 1

    def _train_batched(self, network: Network, nodes: Tensor, learned: _Learned) -> None:
        """The same steps, each on the receptive field of its node."""
        targets = network.output[nodes].argmax(dim=-1)
        prepared = []
        for node, target in zip(nodes.split(1), targets.split(1), strict=True):
            drawn = _Noise(network, node, self.seed, self.epochs)
            fields = cut(network.index, node, network.hops)
            problem = batched.BatchedProblem(network, fields, node, target, self.memory_budget)
            if len(drawn.e_id):
                prepared.append((problem, drawn))
        algorithm = learned.algorithm
        for epoch in range(self.epochs):
            temperature = algorithm._get_temperature(epoch)
            for problem, drawn in prepared:
                algorithm.optimizer.zero_grad()
                logits = learned.logits(network.edge_index[:, drawn.e_id], problem.nodes)
                algorithm.uniform = drawn.uniform[epoch]
                mask = algorithm._concrete_sample(logits, temperature)
                used = torch.searchsorted(drawn.e_id, problem.fields.e_id)
                inputs = problem.x[None], mask.sigmoid()[used][None]
                output = problem.predict(*inputs)[0]
                algorithm._loss(output, problem.targets, mask).backward()
                algorithm.optimizer.step()


class _PyG(PyGPGExplainer):
    """PyG's PGExplainer with uniform numbers that are given to it, one for each logit.

    And with the model's own number of hops: PyG counts its layers, however often they run.
    """

    hops: int
    uniform: Tensor

    def _get_hard_masks(
        self, model: nn.Module, index: Tensor, edge_index: Tensor, num_nodes: int
    ) -> tuple[None, Tensor]:
        return None, k_hop_subgraph(index, self.hops, edge_index, num_nodes=num_nodes)[3]

    def _concrete_sample(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        bias = self.coeffs["bias"]
        noise = (1 - 2 * bias) * self.uniform + bias
        return (noise.log() - (1 - noise).log() + logits) / temperature


class _Learned:
    """The network that scores edges, with the embeddings that it looks at.

    Args:
        network: Model and graph; not kept.
        epochs: As in :class:`PGExplainer`, and so are ``lr`` and ``seed``.

    Attributes:
        algorithm: PyG's explainer.
    """

    def __init__(self, network: Network, epochs: int, lr: float, seed: int) -> None:
        inputs = network.x, network.edge_index
        self._embeddings = get_embeddings(network.whole(), *inputs, **network.inputs)[-1]
        width = 3 * self._embeddings.size(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.algorithm = _PyG(epochs=epochs, lr=lr)
            mlp = nn.Sequential(Linear(width, 64), nn.ReLU(), Linear(64, 1)).to(network.x)
        self.algorithm.mlp = mlp
        self.algorithm.optimizer = torch.optim.Adam(mlp.parameters(), lr=lr)
        self.algorithm.hops = network.hops
        self.algorithm.connect(
            ExplainerConfig(explanation_type="phenomenon", edge_mask_type="object"),
            ModelConfig(
                mode="multiclass_classification",
                task_level="node",
                return_type=network.return_type,
            ),
        )

    def logits(self, ends: Tensor, explained: Tensor) -> Tensor:
        """How much edges [2, e] matter to the ``explained`` nodes, [e] or one, before a sigmoid."""
        z = self._embeddings
        parts = [z[ends[0]], z[ends[1]], z[explained].expand(ends.size(1), -1)]
        return self.algorithm.mlp(torch.cat(parts, dim=-1)).view(-1)


class _Noise:
    """Uniform numbers for the edges that a training node's loss looks at.

    These are all edges between nodes of the receptive field, also those into its border, which
    the prediction does not depend on: PyG counts them in the terms for size and entropy.

    Attributes:
        e_id: Ids of the edges, ascending, [e].
        uniform: [epochs, e].
    """

    def __init__(self, network: Network, node: Tensor, seed: int, epochs: int) -> None:
        inside = torch.zeros(network.num_nodes, dtype=torch.bool, device=node.device)
        inside[cut(network.index, node, network.hops).n_id] = True
        self.e_id = inside[network.edge_index].all(dim=0).nonzero().view(-1)
        (generator,) = generators(seed, node)
        uniform = generator.random((epochs, len(self.e_id)))
        self.uniform = torch.from_numpy(uniform).to(network.x)


METHOD = PGExplainer
