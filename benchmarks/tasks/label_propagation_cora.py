"""Label propagation on Cora: which neighbours' labels make a paper's?"""

from __future__ import annotations

from benchmarks.tasks._label_propagation import label_propagation
from benchmarks.tasks.cora import CORA

TASK = label_propagation(
    CORA,
    title="Cora, label propagation",
    description="Topics of papers on Cora by those of their neighbours, in two steps; weights "
    "are set by hand, the edges that matter are known.",
)
