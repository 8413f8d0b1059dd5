"""What the report knows of each metric: its direction, what it says, where it comes from.

A metric that is not here is shown all the same, without a best method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        title: Its name in headings and on axes.
        direction: ``up`` if higher is better, ``down`` if lower is, empty if neither is known.
        text: One sentence: what it says, its range and direction.
        source: The paper it is taken from; empty for a metric of this benchmark's own.
        url: Where that paper is.
        bounded: Whether its values lie in [-1, 1], and are printed with three decimals.
    """

    title: str
    direction: str = ""
    text: str = ""
    source: str = ""
    url: str = ""
    bounded: bool = False

    @property
    def heading(self) -> str:
        """The title with an arrow that points to the better values."""
        return self.title + {"up": " ↑", "down": " ↓", "": ""}[self.direction]


class _Paper(TypedDict):
    source: str
    url: str


def _paper(authors: str, number: str) -> _Paper:
    return {"source": f"{authors}, arXiv:{number}", "url": f"https://arxiv.org/abs/{number}"}


_FIDELITY = _paper("Yuan et al.", "2012.15445")
_CHARACTERIZATION = _paper("Amara et al.", "2206.09677")
_GEA = _paper("Agarwal et al.", "2208.09339")
_COMPLETENESS = _paper("Sundararajan et al.", "1703.01365")

METRICS = {
    "fidelity+_prob": Metric(
        "fidelity+ (prob)",
        "up",
        "Drop of the explained class's probability when the selected edges are taken away: "
        "p(G) - p(G without S), signed, in [-1, 1]; higher means that the edges were needed.",
        **_FIDELITY,
        bounded=True,
    ),
    "fidelity-_prob": Metric(
        "fidelity- (prob)",
        "down",
        "Drop of the explained class's probability when only the selected edges are kept: "
        "p(G) - p(S), signed, in [-1, 1]; lower means that the edges suffice, and a negative value "
        "that the model is surer with them alone.",
        **_FIDELITY,
        bounded=True,
    ),
    "fidelity+_acc": Metric(
        "fidelity+ (acc)",
        "up",
        "Share of nodes whose predicted class changes when the selected edges are taken away; "
        "higher is better.",
        **_FIDELITY,
        bounded=True,
    ),
    "fidelity-_acc": Metric(
        "fidelity- (acc)",
        "down",
        "Share of nodes whose predicted class changes when only the selected edges are kept; "
        "lower is better.",
        **_FIDELITY,
        bounded=True,
    ),
    "characterization_prob": Metric(
        "characterization (prob)",
        "up",
        "Harmonic mean of fidelity+ and 1 - fidelity-, both by probability and clipped to [0, 1]: "
        "high only if the edges are needed and suffice.",
        **_CHARACTERIZATION,
        bounded=True,
    ),
    "characterization_acc": Metric(
        "characterization (acc)",
        "up",
        "Harmonic mean of fidelity+ and 1 - fidelity-, both by predicted class; higher is better.",
        **_CHARACTERIZATION,
        bounded=True,
    ),
    "area_fidelity+_prob": Metric(
        "fidelity+ (prob), mean over sparsities",
        "up",
        "Area under fidelity+ (prob) against sparsity, over the width, in [-1, 1]: its mean over "
        "all shares of selected edges; higher is better.",
        **_CHARACTERIZATION,
        bounded=True,
    ),
    "area_fidelity-_prob": Metric(
        "fidelity- (prob), mean over sparsities",
        "down",
        "Area under fidelity- (prob) against sparsity, over the width, in [-1, 1]: its mean over "
        "all shares of selected edges; lower is better.",
        **_CHARACTERIZATION,
        bounded=True,
    ),
    "unfaithfulness": Metric(
        "unfaithfulness (GEF)",
        "down",
        "1 - exp(-KL(y || y')), y the probabilities of all classes given the graph, y' given the "
        "selected edges alone, in [0, 1]; lower is better.",
        **_GEA,
        bounded=True,
    ),
    "robust_fidelity+_prob": Metric(
        "robust fidelity+ (prob)",
        "up",
        "Mean drop of the explained class's probability when a random tenth of the selected edges "
        "is taken away, in [-1, 1]: on graphs like those that the model knows; higher is better.",
        **_paper("Zheng et al.", "2310.01820"),
        bounded=True,
    ),
    "robust_fidelity-_prob": Metric(
        "robust fidelity- (prob)",
        "down",
        "Mean drop of the explained class's probability when a random tenth of the edges that are "
        "not selected is taken away, in [-1, 1]; lower is better.",
        **_paper("Zheng et al.", "2310.01820"),
        bounded=True,
    ),
    "infidelity": Metric(
        "infidelity",
        "down",
        "Mean squared difference between the scores' sum over random halves of the edges and the "
        "change of the output without them, 0 or more; lower is better. Only for scores in the "
        "output's units.",
        **_paper("Yeh et al.", "1901.09392"),
    ),
    "infidelity_scaled": Metric(
        "infidelity, scaled",
        "down",
        "Infidelity of the scores times their best factor, 0 or more; lower is better.",
        **_paper("Yeh et al.", "1901.09392"),
    ),
    "auroc": Metric(
        "AUROC",
        "up",
        "Probability that a right edge of the computation graph has a higher absolute score than "
        "another one, equal scores counted half, in [0, 1]; 0.5 for scores that say "
        "nothing. One for each node; "
        "the literature often pools the edges of all nodes.",
        **_paper("Ying et al.", "1903.03894"),
        bounded=True,
    ),
    "pooled_auroc": Metric(
        "AUROC, pooled",
        "up",
        "One AUROC of the edges of all explained nodes, an edge counting once for each node that "
        "it explains, in [0, 1]; 0.5 for scores that say nothing.",
        **_paper("Luo et al.", "2011.04573"),
        bounded=True,
    ),
    "characterization_of_means": Metric(
        "characterization (of means)",
        "up",
        "Harmonic mean of the mean fidelity+ and 1 - the mean fidelity-, both by accuracy on the "
        "true class, in [0, 1].",
        **_CHARACTERIZATION,
        bounded=True,
    ),
    "auroc_undirected": Metric(
        "AUROC, undirected",
        "up",
        "AUROC over undirected edges: both directions' scores are added, as the literature does.",
        **_paper("Luo et al.", "2011.04573"),
        bounded=True,
    ),
    "average_precision": Metric(
        "average precision",
        "up",
        "Precision at each threshold, weighted by the gain in recall, in (0, 1]; scores that say "
        "nothing have about the share of right edges.",
        bounded=True,
    ),
    "r_precision": Metric(
        "R-precision",
        "up",
        "Share of right edges among the highest scored, as many as there are right ones, in "
        "[0, 1]; recall and precision are the same there.",
        bounded=True,
    ),
    "recall": Metric(
        "recall",
        "up",
        "Share of the right edges that are among the selected ones, in [0, 1]; higher is better.",
        bounded=True,
    ),
    "jaccard": Metric(
        "Jaccard (GEA)",
        "up",
        "Right and selected edges over right or selected ones, in [0, 1]: graph explanation "
        "accuracy; higher is better.",
        **_GEA,
        bounded=True,
    ),
    "sparsity": Metric(
        "sparsity",
        "up",
        "Share of the computation graph's edges that are not selected, in [0, 1]; given by the "
        "number of edges selected, so it is the same for every method.",
        **_FIDELITY,
        bounded=True,
    ),
    "gini": Metric(
        "Gini index",
        "up",
        "Inequality of the absolute scores, in [0, 1]; higher means that fewer edges hold more of "
        "the score.",
        **_paper("Chalasani et al.", "1810.06583"),
        bounded=True,
    ),
    "entropy": Metric(
        "entropy",
        "down",
        "Entropy of the absolute scores as shares, over its largest possible value, in [0, 1]; "
        "lower means more concentrated.",
        **_paper("Rathee et al. (BAGEL)", "2206.13983"),
        bounded=True,
    ),
    "mass90": Metric(
        "edges with 90 % of the mass",
        "down",
        "Smallest share of the edges that holds 90 % of the absolute score, in [0, 1]; lower means "
        "more concentrated.",
        bounded=True,
    ),
    "completeness": Metric(
        "completeness error",
        "down",
        "Distance between the sum of all attributions and the change of the output that they "
        "explain, in the output's units, 0 or more; only for methods that promise equality.",
        **_COMPLETENESS,
    ),
    "convergence_delta": Metric(
        "convergence delta",
        "down",
        "Absolute completeness error that is left by a finite number of integration steps, in the "
        "output's units; lower is better.",
        **_COMPLETENESS,
    ),
    "relative_error": Metric(
        "relative error",
        "down",
        "Distance of the attributions to those made with 1,000 steps, relative to the latter; "
        "lower is better.",
    ),
    "rank_correlation": Metric(
        "rank correlation",
        "up",
        "Spearman's correlation of the edge scores with those made with 1,000 steps, in [-1, 1]; "
        "higher is better.",
        bounded=True,
    ),
    "sensitivity_violations": Metric(
        "sensitivity: edges that matter without a score",
        "down",
        "Axiom (a): share, among the edges whose removal changes the output, of those whose score "
        "is 0 (a millionth of the largest), in [0, 1]; 0 keeps the axiom.",
        **_COMPLETENESS,
        bounded=True,
    ),
    "invariance_rescaled": Metric(
        "invariance: hidden units permuted and rescaled",
        "down",
        "Relative change (Euclidean norm) of the edges' scores on a network that computes the same "
        "function with its hidden units in another order and on another scale; 0 keeps the axiom.",
        **_COMPLETENESS,
    ),
    "invariance_widened": Metric(
        "invariance: dead units added",
        "down",
        "The same on a network with more hidden units, which never count.",
        **_COMPLETENESS,
    ),
    "invariance_split": Metric(
        "invariance: a layer split in two",
        "down",
        "The same on a network whose first linear map is two: a rotation, and the rest.",
        **_COMPLETENESS,
    ),
    "kendall_tau": Metric(
        "Kendall's tau between methods",
        "",
        "Whether two methods order a computation graph's edges alike by absolute score, tau-b, in "
        "[-1, 1]; 0 for unrelated orders.",
        bounded=True,
    ),
    "overlap": Metric(
        "overlap of the ten highest edges",
        "",
        "Share of the ten edges with the highest absolute scores that two methods have in common, "
        "in [0, 1].",
        bounded=True,
    ),
    "kendall_tau_seeds": Metric(
        "Kendall's tau, explainer's seeds",
        "up",
        "tau-b between the scores under two seeds of the method, mean over the pairs, in [-1, 1]; "
        "higher is more stable.",
        bounded=True,
    ),
    "overlap_seeds": Metric(
        "overlap, explainer's seeds",
        "up",
        "Share of the ten highest edges in common under two seeds of the method, in [0, 1].",
        bounded=True,
    ),
    "kendall_tau_models": Metric(
        "Kendall's tau, models' seeds",
        "",
        "tau-b between the scores on two models of the task for the same classes, in [-1, 1]. "
        "Models differ, so high is not better; a floor has 1.",
        bounded=True,
    ),
    "overlap_models": Metric(
        "overlap, models' seeds",
        "",
        "Share of the ten highest edges in common on two models of the task, in [0, 1].",
        bounded=True,
    ),
    "max_sensitivity": Metric(
        "max-sensitivity",
        "down",
        "Largest relative change of the edges' scores if the features move by up to 2 % of their "
        "standard deviation, 0 or more; lower is more stable.",
        **_paper("Yeh et al.", "1901.09392"),
    ),
    "equality_error": Metric(
        "largest difference to stock",
        "down",
        "Largest difference of an engine's attributions to those of the stock engine, relative to "
        "the latter; an engine is to be equal up to rounding.",
    ),
    "over_limit": Metric(
        "time over limit",
        "down",
        "Time of many nodes' explanations over the least that this machine needs for the answer: "
        "each score written once, and for each edge an inner product of hidden gradients and a row "
        "of features added, at speeds measured in the same run; 1 or more.",
    ),
}


def metric(name: str) -> Metric:
    """The metric of that name; one that is unknown has its name for title and no direction."""
    return METRICS.get(name, Metric(name))
