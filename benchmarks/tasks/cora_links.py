"""Cora, links: who cites whom?"""

from __future__ import annotations

from benchmarks.tasks._links import links
from benchmarks.tasks.cora import CORA

TASK = links(
    CORA,
    title="Cora, links",
    description="Hidden citations among 2,708 papers on machine learning, predicted by the inner "
    "product of two embeddings.",
)
