"""White box, inhibit: how many more walks of two steps come from red than from yellow?"""

from __future__ import annotations

from benchmarks.tasks._white_box import white_box

TASK = white_box(
    "inhibit",
    title="White box, inhibit",
    description="Are more red than yellow nodes two steps away? Weights are set by hand, "
    "the edges that matter are known.",
)
