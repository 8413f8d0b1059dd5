"""Fluoride-carbonyl: has a molecule both F- and C=O? Each such pair is a ground truth.

The accuracy on test molecules is 94 %, below benzene's 96 %. A linear readout, which cannot ask for
two groups at once, reaches 92 %; why this one stays below 95 % is not known.
"""

from __future__ import annotations

from benchmarks.tasks._definition import Recipe
from benchmarks.tasks._rationales import rationales

TASK = rationales(
    "fluoride_carbonyl.npz",
    "19a747473a97f0f1ef9ea04ce9a2c6fc3449145bd8a6085255281836596703c8",
    pattern="both a fluoride and a carbonyl group",
    title="Fluoride-carbonyl",
    description="Graphs: 8,671 molecules; has one both F- and C=O? Each such pair is a right "
    "explanation.",
    recipe=Recipe(
        hidden=(32, 32, 32),
        epochs=60,
        lr=2e-3,
        weight_decay=0.0,
        dropout=0.0,
        source="ours; edges are weighted by the orders of the bonds",
        batch_size=64,
        normalize=False,
        readout=32,
    ),
)
