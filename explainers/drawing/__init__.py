"""Explanations as pictures: the edges that carry a prediction, and the nodes that they join.

matplotlib and networkx draw; they come with the extra ``draw`` and are imported when asked for.
"""

from explainers.drawing.figure import compare, draw
from explainers.drawing.select import Shown, shown

__all__ = ["Shown", "compare", "draw", "shown"]
