"""Random numbers that belong to a node or graph, whichever others it is explained with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_GLOBAL = threading.RLock()


def generators(seed: int, owners: Tensor) -> Iterator[np.random.Generator]:
    """A generator for each of ``owners`` [R], determined by ``seed`` and it; on any device."""
    for owner in owners.tolist():
        yield np.random.default_rng([seed, owner])


def torch_generator(seed: int, owners: Tensor) -> torch.Generator:
    """One of torch, on the CPU, for the one of ``owners`` [1]."""
    (generator,) = generators(seed, owners)
    return torch.Generator().manual_seed(int(generator.integers(2**63)))


@contextmanager
def seeded(seed: int, owners: Tensor) -> Iterator[None]:
    """For libraries that draw from torch's own generator: its state is :func:`torch_generator`'s.

    The CPU's only. Afterwards it is what it was. One thread at a time: the state is everybody's.
    """
    with _GLOBAL:
        before = torch.get_rng_state()
        torch.set_rng_state(torch_generator(seed, owners).get_state())
        try:
            yield
        finally:
            torch.set_rng_state(before)
