"""Any model whose first message passing is linear: that is taken out of the path."""

from explainers.engines.hoisted.engine import Hoisted

__all__ = ["Hoisted"]
