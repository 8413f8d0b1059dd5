"""How many steps messages take before they reach an output: read off the graph of the gradients.

The layers of a heterogeneous model work side by side, one for each edge type; counting them says
nothing. In a pass with gradients every call multiplies its messages by a factor of its own; the
longest chain of such factors on a way from the output back is the number of steps. What gradients
do not see (a ``detach``) is left to the checks that follow: of predictions, and of what they depend
on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from explainers.hetero.calls import CallMap, run
from explainers.hetero.layout import Layout
from explainers.prepare.copies import ModelCopy
from explainers.prepare.probe import Trial


def depth_and_trial(
    copy: ModelCopy, x: Tensor, layout: Layout, maps: list[list[CallMap]]
) -> tuple[int, Trial]:
    """The steps of messages to an output, and what a pass with gradients showed.

    Without gradients, or where a layer is exempt from masks (``explain=False``), the number of all
    calls, which is at least that of the steps.
    """
    factors: list[Tensor] = []

    def masks(layer: int, call: int) -> Tensor:
        mask = maps[layer][call].mask(layout, parts) if maps[layer][call].types else one
        factors.append(mask.detach().clone().requires_grad_())
        return factors[-1]

    one = x.new_ones(1)
    parts = layout.by_edge_type(x.new_ones(len(layout.graphs.e_id)))
    most = sum(map(len, maps))
    leaf = x.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            output = run(copy, leaf[None], layout, masks)
            steps = _longest(output, {id(factor) for factor in factors})
            found: tuple[Tensor | None, ...] = torch.autograd.grad(
                output.double().square().sum(), (leaf, *factors), allow_unused=True
            )
    except Exception as error:
        return most, Trial(True, error=f"{type(error).__name__}: {' '.join(str(error).split())}")
    features = found[0] is not None
    if all(one is None for one in found[1:]):
        return most, Trial(features, "no gradient reaches the messages of its layers")
    exempt = any(layer.explain is False for layer in copy.layers)
    return most if exempt else steps, Trial(features)


def _longest(output: Tensor, factors: set[int]) -> int:
    """The most factors, by id, that lie behind each other on a way from ``output`` to an input."""
    if output.grad_fn is None:
        return 0
    known: dict[Any, int] = {}
    stack: list[tuple[Any, bool]] = [(output.grad_fn, False)]
    while stack:  # not by recursion, which deep models exhaust
        node, ready = stack.pop()
        if node in known:
            continue
        behind = [child for child, _ in node.next_functions if child is not None]
        if not ready:
            stack.append((node, True))
            stack += [(child, False) for child in behind if child not in known]
            continue
        deepest = max((known[child] for child in behind), default=0)
        multiplies = not _is_factor(node, factors)
        known[node] = deepest + (multiplies and any(_is_factor(one, factors) for one in behind))
    return known[output.grad_fn]


def _is_factor(node: Any, factors: set[int]) -> bool:
    """Whether a node only hands on one of the factors."""
    while True:
        variable = getattr(node, "variable", None)
        if variable is not None:
            return id(variable) in factors
        if len(node.next_functions) != 1 or node.next_functions[0][0] is None:
            return False
        node = node.next_functions[0][0]
