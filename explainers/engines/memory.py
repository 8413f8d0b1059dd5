"""What is done when the memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from explainers.engines.base import Problem

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",  # the same, on Windows
    "alloc_failed",  # cuBLAS and cuDNN handles
)
LONGEST = 10_000  # characters of a message that are read


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that the memory of the CPU or the GPU did not suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    try:
        text = str(error)[:LONGEST].lower()
    except BaseException as failure:  # of a class of the method's own
        if type(failure) is KeyboardInterrupt:  # perhaps the user's
            raise
        return False
    return any(part in text for part in _OUT_OF_MEMORY)


@dataclass
class Splits:
    """How often a pass did not fit into the memory and was taken in smaller parts."""

    count: int = 0


_COUNTING: list[Splits] = []


@contextmanager
def counted_splits() -> Iterator[Splits]:
    """Counts the splits of all methods while its body runs."""
    splits = Splits()
    _COUNTING.append(splits)
    try:
        yield splits
    finally:
        _COUNTING[:] = [other for other in _COUNTING if other is not splits]


def note_split() -> None:
    """A pass is going to be taken in smaller parts."""
    for splits in _COUNTING:
        splits.count += 1


def smaller(problem: Problem, variants: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Nodes, targets and budgets of smaller problems in place of one; none if there are none.

    Half of the nodes each; a single node with half of its variants in a pass.

    Args:
        problem: What did not fit.
        variants: How many the method wants in a pass. One that perturbs its inputs wants up to
            one for each of them, which it need not say.
    """
    half = len(problem.nodes) // 2
    if half:
        yield problem.nodes[:half], problem.targets[:half], problem.memory_budget
        yield problem.nodes[half:], problem.targets[half:], problem.memory_budget
        return
    tried = min(problem.copies, max(variants, len(problem.graphs.n_id) + len(problem.graphs.e_id)))
    if tried > 1:
        budget = problem.memory_budget * (tried // 2) / problem.copies
        yield problem.nodes, problem.targets, max(1, int(budget))
