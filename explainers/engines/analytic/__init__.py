"""GCNs of one or two layers in closed form: parameters, paths, gradients and coalitions."""

from explainers.engines.analytic.gradients import Analytic

__all__ = ["Analytic"]
