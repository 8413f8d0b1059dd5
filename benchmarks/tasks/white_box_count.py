"""White box, count: how many walks of two steps come from red nodes?"""

from __future__ import annotations

from benchmarks.tasks._white_box import white_box

TASK = white_box(
    "count",
    title="White box, count",
    description="How often is a red node two steps away? Weights are set by hand, "
    "the edges that matter are known.",
)
