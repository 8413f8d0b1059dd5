"""Fluoride-carbonyl, as GraphXAI names it; its labels ask for a chain and a carbonyl group.

The published file is not about fluoride. A molecule has class 1 if, and only if, it has a chain of
three atoms of any element outside of rings, joined by single bonds, the middle one with two bonds
and the outer ones with at most two (RDKit's `[R0;D1,D2][R0;D2][R0;D1,D2]`), and, apart from these,
a carbon that is not aromatic with a double bond to oxygen. That reproduces all 8,671 labels and
each ground truth (a test does it); 43 % of the molecules of class 1 have a fluorine, and no
explanation has one.

The accuracy on test molecules is 94 %, below benzene's 96 %: which atoms are in rings decides, as
without that condition the rule is right for 88 % of the molecules, and three rounds of messages do
not see that a larger ring closes.
"""

from __future__ import annotations

from benchmarks.tasks._definition import Recipe
from benchmarks.tasks._rationales import rationales

TASK = rationales(
    "fluoride_carbonyl.npz",
    "19a747473a97f0f1ef9ea04ce9a2c6fc3449145bd8a6085255281836596703c8",
    pattern="both an unbranched chain of three atoms and a carbonyl group",
    title="Fluoride-carbonyl",
    description="Graphs: 8,671 molecules; has one an unbranched chain of three atoms and C=O? Each "
    "such pair is a ground truth. Published as fluoride-carbonyl, but not about fluoride.",
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
