"""Label propagation on CiteSeer: which neighbours' labels make a paper's?"""

from __future__ import annotations

from benchmarks.tasks._label_propagation import label_propagation
from benchmarks.tasks.citeseer import TASK as CITESEER

TASK = label_propagation(
    CITESEER,
    title="CiteSeer, label propagation",
    description="Topics of papers on CiteSeer by those of their neighbours, in two steps; weights "
    "are set by hand, the edges that matter are known.",
)
