"""Layer-wise relevance propagation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, GraphConv, MessagePassing, SAGEConv
from torch_geometric.nn import Linear as PyGLinear

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method
from explainers.methods._rules import Rules, refuse_without_rule, replaced
from explainers.prepare import PreparedModel

RULES = ("z+", "epsilon")
EPSILON = 1e-6
LAYERS = (nn.Linear, PyGLinear, GCNConv, GraphConv, SAGEConv, GINConv)
REMEDY = "use rule='epsilon'"
_Forward = Callable[..., Tensor]


@dataclass(kw_only=True)
class LRP(Method):
    """The class's raw score passed back layer by layer, to the messages and features it is made of.

    Bach et al. 2015, with the relevance of graph networks' layers as in Schnake et al.
    (arXiv:2006.03589), of messages one by one and not of walks. A unit's relevance goes to what its
    layer adds up for it, over neighbours and channels together, in proportion to the summands; an
    activation function hands it on. A message's relevance is that of its channels, and an edge's
    score the sum over the layers; a feature's score is its relevance. A softmax that ends the model
    is passed by. All comes out of one pass back.

    - ``z+``: in proportion to the summands above 0 alone (their alpha-beta rule with alpha 1 and
      beta 0), for features of any sign; where no ReLU follows, a unit below 0 hands its relevance
      to the summands below 0. Scores are not negative. The features' relevance adds up to the raw
      score's size: each layer passes on all that it is given, and biases take no part. Only a unit
      that nothing but a bias makes what it is keeps its own, and a score below 0 for which nothing
      speaks gives zeros. Where a model itself adds, subtracts or pools, that goes by the same rule.
      For ``Linear``, ``GCNConv``, ``GraphConv``, ``SAGEConv`` and ``GINConv`` with sums or means;
      edge weights must not be negative.
    - ``epsilon``: in proportion to all summands, with epsilon added to the size of their sum.
      Signed; biases keep their share, and what else is missing to the raw score is of the size of
      epsilon. With ReLU and a small epsilon that is the gradient times the input. For every model
      of affine layers and activation functions.

    ``z+`` ranks every edge that matters above every other on the white-box tasks
    ``white-box-count``, ``-or`` and ``-and`` (but where a bias holds one of two results that the
    model adds below 0: variant ``gated-gcn``), ``epsilon`` on ``-count``. On ``-inhibit`` neither:
    for ``z+``, what counts against is not there, and for ``epsilon``, what carries as much for as
    against gets 0.

    Args:
        rule: ``"z+"`` or ``"epsilon"``.
        epsilon: Of the rule ``epsilon``, above 0; None for 1e-6.
    """

    homogeneous_only: ClassVar[str] = "its rules cover the layers of homogeneous models"
    citation: ClassVar[str] = "Bach et al. 2015, doi:10.1371/journal.pone.0130140"

    rule: str = "z+"
    epsilon: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in RULES:
            raise ValueError(f"unknown rule {self.rule!r}; use one of {', '.join(RULES)}")
        if self.epsilon is not None and self.rule != "epsilon":
            raise ValueError(f"epsilon {self.epsilon}: rule 'z+' has none; use rule='epsilon'")
        if self.epsilon is not None and not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0, got {self.epsilon}")

    def attribute(self, problem: Problem) -> Attribution:
        """Relevance of features and messages."""
        with problem.prepared.borrowed() as copy, self._in_force(copy.model):
            by_x, by_mask = problem.gradients(problem.x[None], problem.edge_mask[None], full=True)
        # What goes back is relevance over value, so that of a message is the gradient by its mask.
        return Attribution(problem.x * by_x[0], by_mask[0])

    def refuse(self, prepared: PreparedModel) -> None:
        """Refuses models of which a layer has no rule."""
        refuse_without_rule(prepared, "lrp", constants=True)
        if self.rule == "z+":
            _refuse_unsplit(prepared)

    @contextmanager
    def _in_force(self, model: nn.Module) -> Iterator[None]:
        rules = _Sums() if self.rule == "z+" else Rules()
        with ExitStack() as stack:
            layers = [one for one in _parts(model).values() if isinstance(one, LAYERS)]
            for part in layers:
                if isinstance(rules, _Sums):
                    change = rules.split(part)
                else:
                    change = _stabilised(part, self.epsilon or EPSILON)
                stack.enter_context(replaced(part, change))
            stack.enter_context(rules.inside(model))
            yield


def _parts(model: nn.Module) -> dict[str, nn.Module]:
    """A model's parts by name, without what the layers that are one sum consist of."""
    found: dict[str, nn.Module] = {}

    def visit(name: str, part: nn.Module) -> None:
        if any(one is part for one in found.values()):  # a layer that is used twice
            return
        found[name] = part
        children = part.named_children()
        if isinstance(part, LAYERS):  # the network of a GINConv comes after its sum
            children = iter([("nn", part.nn)] if isinstance(part, GINConv) else [])
        for child, one in children:
            visit(f"{name}.{child}".lstrip("."), one)

    visit("", model)
    return found


def _refuse_unsplit(prepared: PreparedModel) -> None:
    """Makes sure that every layer's summands are known one by one, as z+ asks.

    Raises:
        ValueError: Some are not.
    """
    for name, part in _parts(prepared.model).items():
        if reason := _unsplit(part):
            raise ValueError(
                f"model {prepared.name} cannot be explained by lrp with rule 'z+': "
                f"{type(part).__name__} ({name or 'the model itself'}) {reason}; {REMEDY}"
            )
    for name, value in prepared.inputs.items():
        if value.is_floating_point() and bool((value < 0).any()):
            raise ValueError(
                f"data.{name} has values below 0 (least {float(value.min()):.3g}), which lrp with "
                f"rule 'z+' cannot split by sign; {REMEDY}"
            )
    for layer, turns in zip(prepared.layers, prepared.maps, strict=True):
        if any(one != turns[0] for one in turns):
            raise ValueError(
                f"layer {type(layer).__name__} is called with different edges in one pass, which "
                f"lrp with rule 'z+' cannot follow; {REMEDY}"
            )


def _unsplit(layer: nn.Module) -> str:
    """Why a part of a model has no rule z+, or ``""``."""
    if type(layer) not in LAYERS:
        weights = any(one is not None for one in layer._parameters.values())
        plain = not isinstance(layer, (MessagePassing, *LAYERS))
        known = plain and (isinstance(layer, nn.PReLU) or not weights)
        return "" if known else "has weights or messages of its own that the rule cannot split"
    if isinstance(layer, MessagePassing) and layer.aggr not in ("add", "sum", "mean"):
        return f"aggregates by {layer.aggr!r} and not by sums or means"
    if isinstance(layer, SAGEConv) and (layer.project or layer.normalize):
        return "projects or normalises"
    if isinstance(layer, GINConv) and float(layer.eps) < -1:
        return f"has eps {float(layer.eps):.3g}, below -1"
    return ""


def _stabilised(layer: nn.Module, epsilon: float) -> Callable[[_Forward], _Forward]:
    """The layer's ``forward`` with the rule epsilon."""

    def change(forward: _Forward) -> _Forward:
        def stabilised(*args: Any, **kwargs: Any) -> Tensor:
            return _Stabilise.apply(forward(*args, **kwargs), epsilon)

        # Those of its network are stabilised one by one.
        return forward if isinstance(layer, GINConv) else stabilised

    return change


# Functions of torch that add up entries of one tensor, or take a mean; and which argument that is.
POOLS = {"sum": 0, "mean": 0, "scatter_add": 3, "index_add": 3}


class _Sums(Rules):
    """Rules with z+ for sums: in layers, and where the model itself adds, subtracts or pools."""

    def __init__(self) -> None:
        super().__init__()
        self._apart = False  # within a layer, which is one sum

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self._apart:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        kind = name.rstrip("_")
        if kind in ("add", "sub") and not kwargs and _both_depend(args):
            one, other = args[0], args[1] if kind == "add" else -args[1]
            result = _share(one.detach() + other.detach(), lambda cut: cut(one) + cut(other))
        elif kind in POOLS and len(args) > POOLS[kind] and _depends(args[POOLS[kind]]):
            at = POOLS[kind]

            def pooled(x: Tensor) -> Tensor:
                first = args[:at] if name == kind else (args[0].clone(), *args[1:at])
                return func(*first, x, *args[at + 1 :], **kwargs)

            value = pooled(args[at].detach())
            result = _share(value, lambda cut: pooled(cut(args[at])))
        else:
            return super().__torch_function__(func, types, args, kwargs)
        return result if name == kind else args[0].copy_(result)

    def split(self, layer: nn.Module) -> Callable[[_Forward], _Forward]:
        """The layer's ``forward`` with what it is given back going to its summands."""

        def change(forward: _Forward) -> _Forward:
            def one_sum(x: Any, *args: Any, **kwargs: Any) -> Tensor:
                with torch.no_grad():
                    value = forward(x, *args, **kwargs)
                # A GINConv's weights for what it adds up are not negative.
                signs = (_above,) if isinstance(layer, GINConv) or not _any_below(x) else SIGNS

                def summands(cut: _Cut) -> Tensor:
                    total: Any = 0
                    for sign in signs if not isinstance(layer, GINConv) else (cut,):
                        # Above 0 are products of equal signs, below 0 those of opposite ones.
                        with _weights(layer, sign if cut is _above else _other(sign)):
                            total = total + forward(_each(x, sign), *args, **kwargs)
                    return total

                return _share(value, summands)

            def split(*args: Any, **kwargs: Any) -> Tensor:
                if not args:  # by name: "x", or "input" of a linear layer
                    args = (kwargs.pop("x") if "x" in kwargs else kwargs.pop("input"),)
                network = layer._modules["nn"] if isinstance(layer, GINConv) else None
                if network is not None:
                    layer._modules["nn"] = nn.Identity()
                self._apart = True
                try:
                    result = one_sum(*args, **kwargs)
                finally:
                    self._apart = False
                    if network is not None:
                        layer._modules["nn"] = network
                return result if network is None else network(result)

            return split

        return change


def _above(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def _below(x: Tensor) -> Tensor:
    return x.clamp(max=0)


SIGNS = (_above, _below)
_Cut = Callable[[Tensor], Tensor]


def _other(sign: _Cut) -> _Cut:
    return _below if sign is _above else _above


def _depends(x: Any) -> bool:
    """Whether this is a tensor that depends on what is explained."""
    return isinstance(x, Tensor) and x.requires_grad


def _both_depend(args: tuple[Any, ...]) -> bool:
    return len(args) == 2 and all(map(_depends, args)) and args[0].shape == args[1].shape


def _each(x: Any, cut: _Cut) -> Any:
    """What is made of a layer's first argument: features, or those of senders and receivers."""
    if isinstance(x, (tuple, list)):
        return tuple(one if one is None else cut(one) for one in x)
    return cut(x)


def _any_below(x: Any) -> bool:
    parts = x if isinstance(x, (tuple, list)) else (x,)
    return any(one is not None and bool((one < 0).any()) for one in parts)


@contextmanager
def _weights(layer: nn.Module, cut: _Cut) -> Iterator[None]:
    """The layer, part of a private copy, with its weights of one sign, and no bias."""
    kept = [(part, dict(part._parameters)) for part in layer.modules()]
    for part, parameters in kept:
        for name, value in parameters.items():
            if name == "bias":
                part._parameters[name] = None
            elif name == "weight" and value is not None:
                part._parameters[name] = nn.Parameter(cut(value), requires_grad=False)
    try:
        yield
    finally:
        for part, parameters in kept:
            part._parameters.update(parameters)


def _share(value: Tensor, summands: Callable[[_Cut], Tensor]) -> Tensor:
    """A sum, ``value``, that goes back to its summands of one sign, added up by ``summands``."""
    above = summands(_above)
    below = summands(_below) if bool((value < 0).any()) else torch.zeros_like(above)
    result: Tensor = _Share.apply(above, below, value)
    return result


class _Share(torch.autograd.Function):
    """A sum; its relevance goes to its summands above 0, or to those below if it is below."""

    @staticmethod
    def forward(ctx: Any, above: Tensor, below: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(above, below, value)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        above, below, value = ctx.saved_tensors
        # The multiplier times the value. That is not negative, but for an explained score below 0:
        # what speaks for it all the same shares its size.
        relevance = gradients[0] * value
        opposite = (relevance > 0) & (value < 0)
        size = relevance.abs()
        to_above = torch.where(~opposite & (above > 0), size / above, 0.0)
        to_below = torch.where(opposite & (below < 0), size / below, 0.0)
        return to_above, to_below, None


class _Stabilise(torch.autograd.Function):
    """A sum whose relevance is divided by its size plus epsilon."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, epsilon: float) -> Tensor:
        size = value.detach().abs()
        ctx.share = size / (size + epsilon)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.share, None


METHOD = LRP
