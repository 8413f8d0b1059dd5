"""Whether a model computes what the formulas say, at inputs drawn at random: outputs and gradients.

At the data alone, a model may look like a GCN and be none: activations that are cut off just above
those of the data, values that are detached, a gradient that is turned round on its way back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explainers.engines.analytic.params import GCNParameters
from explainers.engines.base import NotTheModel
from explainers.engines.batched import BatchedProblem
from explainers.prepare.outputs import alike

# Of the features that are drawn, over the largest of the data: within their range, where gradients
# say most, and far beyond it, where what is cut off shows.
SCALES, BEYOND = (0.1, 1.0, 30.0), 2
SEED = 0


def agrees(params: GCNParameters, problem: BatchedProblem) -> bool:
    """Whether the model's own layers give what the formulas do, on a few computation graphs."""
    x, mask, weights = _drawn(problem)
    leaves = x.requires_grad_(), mask.requires_grad_()
    with torch.inference_mode(False), torch.enable_grad():
        try:
            output = problem.predict_by_layers(*leaves)
            found = torch.autograd.grad(output, leaves, weights, materialize_grads=True)
        except (NotTheModel, RuntimeError):  # made for the data's features only
            return False
        z = _result(params, problem, *leaves)
        expected = params.head(z)
        own = torch.autograd.grad(expected, leaves, weights, retain_graph=True)
        of_result = torch.autograd.grad(z, leaves, weights)
    if not all(map(alike, output, expected)):
        return False
    tolerance = 1e-7 if output.dtype == torch.float64 else 1e-2
    # Probabilities near 0 or 1 have gradients that are differences of far larger numbers.
    rounding = 100 * torch.finfo(output.dtype).eps
    for mine, theirs, raw in zip(own, found, of_result, strict=True):
        if not mine.numel():
            continue
        difference, size, most = (
            one[:BEYOND].flatten(1).abs().amax(dim=1) for one in (mine - theirs, theirs, raw)
        )
        if bool((difference > tolerance * size + rounding * most).any()):
            return False
    return True


def _drawn(problem: BatchedProblem) -> tuple[Tensor, Tensor, Tensor]:
    """Features [B, n, F] and masks [B, e], one for each scale, and weights of the outputs."""
    generator = torch.Generator().manual_seed(SEED)

    def drawn(draw: object, like: Tensor, *shape: int) -> Tensor:
        return draw(*shape, generator=generator).to(like)  # type: ignore[operator]

    output, count = problem.prepared.output, len(SCALES)
    scale = problem.x.new_tensor(SCALES) * (float(problem.prepared.x.abs().max()) or 1.0)
    x = drawn(torch.randn, problem.x, count, *problem.x.shape) * scale[:, None, None]
    mask = drawn(torch.rand, problem.edge_mask, count, len(problem.edge_mask))
    weights = drawn(torch.rand, output, count, len(problem.nodes), output.size(1)) + 0.5
    return x, mask, weights


def _result(params: GCNParameters, problem: BatchedProblem, x: Tensor, mask: Tensor) -> Tensor:
    """The last layer's result [B, R, C] for features [B, n, F] and masks [B, e]."""
    graphs = problem.graphs
    source, target = graphs.edge_index
    for number, layer in enumerate(params.layers):
        norm = problem.prepared.norm(number)[0][graphs.e_id]
        y = (x.relu() if number else x) @ layer.weight.t()
        sent = y.index_select(1, source) * (mask * norm)[..., None]
        own = y * layer.loops[graphs.n_id][:, None] + layer.bias
        x = own.index_add(1, target, sent)
    return x.index_select(1, graphs.roots)
