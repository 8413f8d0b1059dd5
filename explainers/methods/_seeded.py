"""Random numbers that belong to a node or graph, whichever others it is explained with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor


def generators(seed: int, nodes: Tensor) -> Iterator[np.random.Generator]:
    """A generator for each of ``nodes``, determined by ``seed`` and the node; on any device."""
    for node in nodes.tolist():
        yield np.random.default_rng([seed, node])
