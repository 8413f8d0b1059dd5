"""How outputs and gradients are computed; each engine is one class, reached by the registry."""
