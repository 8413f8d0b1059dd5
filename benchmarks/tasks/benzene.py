"""Benzene: does a molecule have a benzene ring? Each ring is a ground truth."""

from __future__ import annotations

from benchmarks.tasks._definition import Recipe
from benchmarks.tasks._rationales import rationales

TASK = rationales(
    "benzene.npz",
    "172cab2f637d62cd46192473b2a3ed9c75931c1d0d65ce462b75326300a1e5ee",
    pattern="a benzene ring",
    title="Benzene",
    description="Graphs: 12,000 molecules; has one a benzene ring? Each ring is a right "
    "explanation.",
    recipe=Recipe(
        hidden=(32, 32, 32),
        epochs=25,
        lr=2e-3,
        weight_decay=0.0,
        dropout=0.0,
        source="ours; edges are weighted by the orders of the bonds",
        batch_size=128,
        normalize=False,
        readout=32,
    ),
)
