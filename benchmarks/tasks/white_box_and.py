"""White box, and: do walks of two steps come from both a red and a yellow node?"""

from __future__ import annotations

from benchmarks.tasks._white_box import white_box

TASK = white_box(
    "and",
    title="White box, and",
    description="Are a red and a yellow node two steps away? Weights are set by hand, "
    "the edges that matter are known.",
)
