"""Random numbers that belong to a node or graph, whichever others it is explained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def generators(seed: int, nodes: Tensor) -> Iterator[np.random.Generator]:
    """A generator for each of ``nodes``, determined by ``seed`` and the node; on any device."""
    for node in nodes.tolist():
        yield np.random.default_rng([seed, node])


@contextmanager
def seeded(seed: int, nodes: Tensor) -> Iterator[None]:
    """For libraries that draw from torch's own generator: its state belongs to the one node.

    The CPU's only. Afterwards it is what it was.
    """
    (generator,) = generators(seed, nodes)
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(int(generator.integers(2**63)))
    try:
        yield
    finally:
        torch.set_rng_state(before)
