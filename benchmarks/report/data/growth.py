"""How the time of one explanation grows with the size of the problem: frames to numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.report.data import runtimes
from benchmarks.report.data.section import Section

# Less than the tenth root: ten times the size takes at most 1.26 times as long.
FLAT = 0.1


@dataclass(frozen=True)
class Growth:
    """From the smallest to the largest size at which a method was timed on an engine.

    Attributes:
        varied: What is varied.
        method: The method.
        engine: Its engine.
        low: The smallest size.
        high: The largest.
        ratio: The time at the largest over that at the smallest; medians over the repeats.
    """

    varied: str
    method: str
    engine: str
    low: float
    high: float
    ratio: float

    @property
    def flat(self) -> bool:
        """Whether the time hardly grows, see :data:`FLAT`."""
        return bool(np.log(self.ratio) < FLAT * np.log(self.high / self.low))


def growths(section: Section) -> dict[str, list[Growth]]:
    """By what is varied, the slowest growth first; nothing of what was timed at one size."""
    found: dict[str, list[Growth]] = {}
    medians = runtimes.scaling(section)
    for (varied, method, engine), rows in medians.groupby(["varied", "method", "engine"]):
        at, times = (rows[name].to_numpy(dtype=float) for name in ("at", "seconds"))
        if len(at) > 1:
            ends = float(at[0]), float(at[-1]), float(times[-1] / times[0])
            one = Growth(str(varied), str(method), str(engine), *ends)
            found.setdefault(one.varied, []).append(one)
    return {name: sorted(some, key=lambda one: one.ratio) for name, some in found.items()}
