"""Explanations as pictures."""

from explainers.drawing.draw import compare, draw, shown

__all__ = ["compare", "draw", "shown"]
