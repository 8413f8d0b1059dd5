"""How a method's passes through the model are computed; each engine is one module.

``stock`` is the reference; ``batched`` explains the same on computation graphs. An engine module
has ``problems(...)``, which cuts the nodes into problems for a method, and ``refusal(prepared)``,
which says why it cannot explain a model.
"""
