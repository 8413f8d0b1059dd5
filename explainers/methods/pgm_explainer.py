"""PGM-Explainer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from explainers.engines.base import Attribution, Engine, Problem
from explainers.methods._base import Method
from explainers.methods._decisions import outcome_probability, refuse_regression
from explainers.methods._seeded import generators
from explainers.methods._subgraphs import induced
from explainers.prepare import PreparedModel

PERTURBATIONS = ("randint", "mean", "zero")
SHARE = 8  # of the perturbed graphs, those whose prediction drops most: one of so many
SMALLEST = 1e-300  # p-values have a logarithm


@dataclass(kw_only=True)
class PGMExplainer(Method):
    """Tests on which nodes the prediction depends, by random perturbations of their features.

    Vu and Thai, arXiv:2010.05788, as PyG's contributed ``PGMExplainer``: the features of each node
    are perturbed with probability 1/2, and chi-square tests say what depends on what. For a node,
    the variables are of each node of the computation graph whether it was perturbed and whether the
    class explained lost more than ``threshold`` of its probability there; tested is that of the
    explained node, which itself always counts. For a graph, they are whether the node was perturbed
    and whether the graph's prediction is among the eighth that drop most; PyG then repeats this
    with the best nodes alone, which is left out here. The network over the variables, which PyG
    does not build either, is not given.

    A node's score is -log10 of its p-value, 0 or more; the explained node has the largest. An edge
    has the smaller of its ends' scores. The set are the nodes with a p-value below
    ``significance``. Edges between the same nodes have the same score: no white-box task is
    promised. Regressions are refused.

    Args:
        n_samples: Perturbed graphs, each a pass over the surroundings of the computation graph.
        perturbation: What takes the place of a node's features: random zeros and ones
            (``"randint"``), the means of the features over all nodes (``"mean"``), or zeros.
        threshold: See above; of nodes only.
        significance: Of the set.
        seed: Of the perturbations.

    Explanations have ``p_values`` [n]; ``selected_nodes`` [n], the nodes of the set; and
    ``set_size``, their number.
    """

    signed: ClassVar[bool] = False
    deterministic: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    granularity: ClassVar[tuple[str, ...]] = ("edges", "nodes")
    not_links: ClassVar[str] = "it is defined for nodes and graphs"
    homogeneous_only: ClassVar[str] = "its variables are nodes with the same features"
    slow: ClassVar[bool] = True
    citation: ClassVar[str] = "Vu and Thai 2020, arXiv:2010.05788"

    n_samples: int = 100
    perturbation: str = "randint"
    threshold: float = 0.1
    significance: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("n_samples", 2)
        self.at_least("seed", 0)
        if self.perturbation not in PERTURBATIONS:
            raise ValueError(
                f"unknown perturbation {self.perturbation!r}; use one of {', '.join(PERTURBATIONS)}"
            )
        for option in ("threshold", "significance"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"{option} must be from 0 to 1, got {getattr(self, option)!r}")

    @torch.no_grad()
    def attribute(self, problem: Problem) -> Attribution:
        """-log10 of the p-values; for the explained node the largest of them."""
        perturbed, dropped = self._samples(problem)
        roots = problem.graphs.roots.cpu()
        if len(roots):
            variables = 2 * perturbed.long() + (dropped > self.threshold)
            outcome = variables[:, roots[0]]
        else:
            variables = perturbed.long()
            most = dropped[:, 0].argsort(descending=True, stable=True)[: self.n_samples // SHARE]
            outcome = torch.zeros_like(variables[:, 0])
            outcome[most] = 1
        p_values = independence(variables, outcome)
        p_values[roots] = 0
        scores = -p_values.clamp(min=SMALLEST).log10()
        scores[roots] = 0
        scores[roots] = scores.max()
        selected = p_values < self.significance
        device = problem.edge_mask.device
        return induced(
            problem,
            scores,
            p_values=[p_values.to(device)],
            selected_nodes=[selected.to(device)],
            set_size=selected.sum()[None].to(device),
        )

    def _samples(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Which nodes were perturbed, bool [S, n], and the drops, [S, n]; [S, 1] for a graph."""
        of_graph, before = problem.prepared.task_level == "graph", problem.prepared.output
        before = before[problem.nodes if of_graph else problem.graphs.n_id]
        perturbed, dropped = [], []
        for rows, x in self._perturbed(problem):
            if of_graph:
                inputs = problem.x.repeat(len(x), 1, 1)
                inputs[:, problem.node_rows] = x
                mask = problem.edge_mask.expand(len(x), -1)
                output = problem.predict(inputs, mask)
            else:
                output = problem.outputs_around(x)
            change = outcome_probability(before, problem) - outcome_probability(output, problem)
            perturbed.append(rows)
            dropped.append(change.cpu())
        return torch.cat(perturbed), torch.cat(dropped)

    def _perturbed(self, problem: Problem) -> Iterator[tuple[Tensor, Tensor]]:
        """Which nodes [B, n], and the features [B, n, F] of the computation graph, in passes."""
        (generator,) = generators(self.seed, problem.owners)
        own = problem.x[problem.node_rows]
        chosen = torch.from_numpy(generator.random((self.n_samples, len(own))) < 0.5)
        mean = problem.prepared.x.double().mean(dim=0).to(own)
        for rows in chosen.split(problem.copies):
            if self.perturbation == "randint":
                # Drawn one after the other: the same whatever fits into a pass.
                drawn = [torch.from_numpy(generator.integers(2, size=own.shape)) for _ in rows]
                other = torch.stack(drawn).to(own)
            else:
                other = (mean if self.perturbation == "mean" else 0 * mean).expand_as(own)
            yield rows, torch.where(rows[..., None].to(own.device), other, own)

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """One node at a time, its samples in passes."""
        return self.n_samples, 1

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses regressions."""
        refuse_regression("pgm_explainer", prepared)


def independence(variables: Tensor, outcome: Tensor) -> Tensor:
    """The p-values [n] of Pearson's chi-square tests of independence, float64.

    With Yates' correction where there is one degree of freedom, as SciPy's ``chi2_contingency``;
    1 where either is constant.

    Args:
        variables: int64 [S, n], each of values 0 to 3.
        outcome: int64 [S], of values 0 to 3.
    """
    ours = torch.nn.functional.one_hot(variables, 4).double()  # [S, n, 4]
    other = torch.nn.functional.one_hot(outcome, 4).double()  # [S, 4]
    observed = torch.einsum("sna,sb->nab", ours, other)
    rows, columns = observed.sum(dim=2), observed.sum(dim=1)
    expected = rows[:, :, None] * columns[:, None] / len(outcome)
    freedom = ((rows > 0).sum(dim=1) - 1) * ((columns > 0).sum(dim=1) - 1)
    off = (observed - expected).abs()
    yates = (freedom == 1)[:, None, None]
    off = torch.where(yates, off - off.clamp(max=0.5), off)
    # Values that do not occur are expected nowhere.
    statistic = torch.where(expected > 0, off.square() / expected, 0.0).sum(dim=(1, 2))
    p_values = torch.special.gammaincc(freedom.clamp(min=1) / 2, statistic / 2)
    return torch.where(freedom > 0, p_values, 1.0)


METHOD = PGMExplainer
