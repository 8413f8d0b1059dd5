"""What is learned from, whether it came to rest, and whether what was learned tells edges apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.explain.config import ModelReturnType

from explainers.engines.base import Problem
from explainers.prepare.outputs import is_multiclass, is_regression, to_probabilities

TAIL = 0.1  # the last tenth of the epochs is looked at, and the tenth before it
LEAST_EPOCHS = 10  # fewer have no tenth
# Of the loss's whole change. One that falls in a line changes by 0.1 in the last tenth.
SETTLED = 0.02
# Of masks, which lie in [0, 1].
FLAT_RANGE, FLAT_GINI = 0.01, 0.01


def moments(epochs: int) -> tuple[int, int, int]:
    """The epochs whose losses :func:`settled` compares where a loss has no noise.

    The second, since PyG's GNNExplainer has no penalties in the first; the one a tenth before the
    last; and the last.
    """
    last = epochs - 1
    return min(1, last), last - int(TAIL * epochs), last


def settled(first: Tensor, before: Tensor, last: Tensor) -> Tensor:
    """Whether a loss has come to rest, bool [...].

    It has if the last tenth of the epochs changed it by no more than 2 % of its whole change.

    Args:
        first: The loss at the start, [...].
        before: A tenth of the epochs before the end, [...].
        last: At the end, [...].
    """
    change = torch.maximum((last - first).abs(), (before - first).abs())
    return (last - before).abs() <= SETTLED * change


def converged(losses: Tensor) -> bool:
    """:func:`settled` of the losses [epochs] of a training, whose noise is averaged out.

    Compared are the means over the first, the last but one and the last tenth of the epochs. Fewer
    than ten epochs are too few to tell: False.
    """
    if len(losses) < LEAST_EPOCHS:
        return False
    tenth = int(TAIL * len(losses))
    first, before, last = losses[:tenth], losses[-2 * tenth : -tenth], losses[-tenth:]
    return bool(settled(first.mean(), before.mean(), last.mean()))


def collapsed(problem: Problem, edge_mask: Tensor) -> Tensor:
    """Whether the masks tell the edges of the computation graphs apart no more, bool [R].

    They do not if their range is below 0.01, or their Gini index below 0.01 (all alike but for a
    few). Two edges at least are needed to speak of it.

    Args:
        problem: R nodes.
        edge_mask: In [0, 1], as ``Attribution.edge_mask``.
    """
    # On the host, which on a GPU would have to wait for each of them.
    masks = edge_mask[problem.edge_rows].double().cpu().split(problem.graphs.edge_counts)
    flat = [len(mask) > 1 and _is_flat(mask) for mask in masks]
    return torch.tensor(flat, device=edge_mask.device)


def _is_flat(mask: Tensor) -> bool:
    if float(mask.max() - mask.min()) < FLAT_RANGE:
        return True
    # Half the mean difference of two entries over their mean, by the places in ascending order.
    place = torch.arange(1, len(mask) + 1, dtype=mask.dtype)
    weighted = (2 * place - len(mask) - 1) @ mask.sort().values
    return float(weighted / (len(mask) * mask.sum())) < FLAT_GINI


def likelihood_losses(output: Tensor, problem: Problem) -> Tensor:
    """How far outputs are from what the model predicts, for each node, [R]; PyG's losses.

    Its ``_loss_multiclass_classification`` of the class to explain. Of independent binary outputs
    the cross-entropy of the one to explain with the outcome that the model predicts, and of a
    regression its squared distance to the model's prediction.

    Args:
        output: [R, C].
        problem: R nodes, with the columns to explain as targets.
    """
    config = problem.prepared.config
    kind = config.return_type
    if is_multiclass(config):
        if kind == ModelReturnType.raw:
            return F.cross_entropy(output, problem.targets, reduction="none")
        if kind == ModelReturnType.probs:
            output = output.log()
        return F.nll_loss(output, problem.targets, reduction="none")
    chosen = output.gather(1, problem.targets[:, None]).squeeze(1)
    own = problem.prepared.output[problem.nodes].gather(1, problem.targets[:, None]).squeeze(1)
    if is_regression(config):
        return F.mse_loss(chosen, own, reduction="none")
    predicted = (to_probabilities(own, config) > 0.5).to(output)
    if kind == ModelReturnType.raw:
        return F.binary_cross_entropy_with_logits(chosen, predicted, reduction="none")
    p = chosen.exp() if kind == ModelReturnType.log_probs else chosen
    return F.binary_cross_entropy(p, predicted, reduction="none")
