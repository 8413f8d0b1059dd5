"""GCNs of one or two layers in closed form: parameters, paths, gradients and coalitions."""

from explainers.engines.analytic.gradients import problems, refusal

__all__ = ["problems", "refusal"]
