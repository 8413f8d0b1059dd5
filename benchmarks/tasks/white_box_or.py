"""White box, or: does any walk of two steps come from a red node?"""

from __future__ import annotations

from benchmarks.tasks._white_box import white_box

TASK = white_box(
    "or",
    title="White box, or",
    description="Is a red node two steps away? Weights are set by hand, "
    "the edges that matter are known.",
)
