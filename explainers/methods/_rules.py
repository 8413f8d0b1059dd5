"""Rules for the way back through a network that is affine layers and activation functions.

Through what is linear, multipliers go back as a gradient does. Through an activation function, they
are multiplied by the slope of the line between two of its points, where the gradient takes the
tangent: between 0 and the input for layer-wise relevance propagation, between a reference input and
the input for DeepLIFT's rescale rule. An input's contribution is its multiplier times its value (or
its change); a message's likewise, and that is the gradient by the mask that is multiplied onto it.
So one pass back gives the contributions of all layers.

The activation functions are found however a model calls them. A softmax, or its logarithm, that
ends a model is passed by: what is explained is the class's raw score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explainers.prepare import PreparedModel
from explainers.prepare.probe import few_edges

# By the names of torch's functions, in place or not: they are called in several ways.
ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("sigmoid", "logsigmoid", "tanh", "softplus", "softsign", "hardtanh", "hardswish"),
    *("hardsigmoid", "clamp", "clamp_min", "clamp_max", "clip", "abs"),
}
CLOSING = {"softmax", "log_softmax"}
# Over several entries; which of them it is may change with the features.
MAXIMA = {
    *("max", "min", "amax", "amin", "maximum", "minimum", "sort", "topk", "median", "kthvalue"),
    *("max_pool1d", "adaptive_max_pool1d"),
}
_SEED = 0


class Rules(TorchFunctionMode):
    """Inside of a model, activation functions go back by the slope between two points.

    Args:
        reference: The activation functions' inputs in another pass, in the order of their calls;
            None for zeros.
        slopes: The slopes to take in place of any, in that order.
        constants: What :meth:`torch.Tensor.detach` has to give, in the order of its calls.

    Attributes:
        inputs: The activation functions' inputs in this pass.
        used: The slopes that were taken.
        detached: What was detached.
        closing: Input and output of the last softmax.
        maximum: Whether a maximum was taken of what a gradient is wanted for.
    """

    def __init__(
        self,
        reference: list[Tensor] | None = None,
        slopes: list[Tensor] | None = None,
        constants: list[Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._reference, self._slopes, self._constants = reference, slopes, constants
        self.inputs: list[Tensor] = []
        self.used: list[Tensor] = []
        self.detached: list[Tensor] = []
        self.closing: tuple[Tensor, Tensor] | None = None
        self.maximum = False

    @contextmanager
    def inside(self, model: nn.Module) -> Iterator[None]:
        """Has the rules in force while the model, a private copy, runs; not around it."""
        with replaced(model, self._ruled):
            yield

    def _ruled(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def ruled(*args: Any, **kwargs: Any) -> Any:
            with self:
                return forward(*args, **kwargs)

        return ruled

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").rstrip("_")
        if name in ACTIVATIONS and _is_floating(args):
            return self._activation(func, *args, **kwargs)
        reduction = {kwargs.get("reduce"), *(one for one in args if isinstance(one, str))}
        if name in MAXIMA or (name == "scatter_reduce" and reduction & MAXIMA):
            self.maximum |= any(isinstance(one, Tensor) and one.requires_grad for one in args)
        result = func(*args, **kwargs)
        if name in CLOSING and _is_floating(args):
            result = _Slope.apply(args[0], result, None)
            self.closing = args[0], result
        elif name == "detach":
            if self._constants is not None:
                result = self._constants[len(self.detached)]
            self.detached.append(result)
        return result

    def _activation(
        self,
        func: Callable[..., Any],
        input: Tensor,  # noqa: A002
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        twin = input.detach().clone()  # it may work in place
        with torch.no_grad():
            value = func(twin, *args, **kwargs)
        in_place = value.data_ptr() == twin.data_ptr()
        z, call = input.detach(), len(self.inputs)
        self.inputs.append(z.clone() if in_place else z)
        if self._slopes is not None:
            slope = self._slopes[call]
        else:
            at = torch.zeros_like(z) if self._reference is None else self._reference[call]
            slope = secant(lambda one: func(one, *args, **kwargs), at, z, value)
        self.used.append(slope)
        result: Tensor = _Slope.apply(input, value, slope)
        return input.copy_(result) if in_place else result


@contextmanager
def replaced(
    part: nn.Module, change: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Puts what ``change`` makes of the ``forward`` of a private copy's part in its place."""
    own = vars(part).get("forward")
    part.forward = change(part.forward)
    try:
        yield
    finally:
        del part.forward
        if own is not None:
            part.forward = own


def secant(function: Callable[[Tensor], Tensor], a: Tensor, b: Tensor, at_b: Tensor) -> Tensor:
    """The slope of an elementwise function between ``a`` and ``b``, where it is ``at_b``.

    Where they coincide up to rounding, which would decide what comes of it, the derivative.
    """
    change = b - a
    rounding = torch.finfo(b.dtype).eps ** (2 / 3) * b.abs().clamp(min=1)
    equal = change.abs() <= rounding
    with torch.no_grad():
        slope = (at_b - function(a.clone())) / change.masked_fill(equal, 1)
    if equal.any():
        with torch.enable_grad():
            leaf = b.clone().requires_grad_()
            (tangent,) = torch.autograd.grad(function(leaf * 1).sum(), leaf)
        slope = torch.where(equal, tangent, slope)
    return slope


class _Slope(torch.autograd.Function):
    """A value that is known, and the slope to its input; None for 1."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, value: Tensor, slope: Tensor | None) -> Tensor:  # noqa: A002
        ctx.slope = slope
        return value.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return gradient if ctx.slope is None else gradient * ctx.slope, None, None


def _is_floating(args: tuple[Any, ...]) -> bool:
    return bool(args) and isinstance(args[0], Tensor) and args[0].is_floating_point()


def refuse_without_rule(prepared: PreparedModel, method: str, *, constants: bool = False) -> None:
    """Makes sure that the rules cover all that a model computes.

    They do if contributions add up to the change of the outputs from no features to some: what
    multiplies or divides by something that depends on the features (attention, normalisation by
    statistics of the features), or takes a maximum over several, makes a difference.

    Args:
        prepared: Model and graph.
        method: Who asks.
        constants: Whether what the model detaches counts as a constant.

    Raises:
        ValueError: They do not; names the layer.
    """
    if prepared.trial.features:
        wrong = prepared.memo(("rules", constants), lambda: _without_rule(prepared, constants))
    else:
        wrong = "its features are whole numbers or select rows of an embedding, which have no 0"
    if wrong:
        raise ValueError(
            f"model {prepared.name} cannot be explained by {method}: {wrong}; use a method that "
            "takes any layer, such as 'integrated_gradients'"
        )


def _without_rule(prepared: PreparedModel, constants: bool) -> str:
    """What has no rule, or ``""``; tried on a few edges of the graph, or on all if that fails."""
    given, inputs = prepared.given
    whole = prepared.x, given, prepared.with_batch(inputs)
    try:
        return _tried(prepared, *few_edges(prepared), constants)
    except Exception:  # perhaps the model is made for this number of nodes
        pass
    try:
        return _tried(prepared, *whole, constants)
    except Exception as error:
        return f"it fails at features of zero ({type(error).__name__}: {error})"


def _tried(
    prepared: PreparedModel,
    x: Tensor,
    edge_index: Tensor,
    keywords: dict[str, Tensor],
    constants: bool,
) -> str:
    with torch.inference_mode(False), torch.enable_grad(), prepared.borrowed() as copy:
        seen = _Seen(copy.model)
        first = Rules()
        with torch.no_grad(), first.inside(copy.model):
            copy.run(x, edge_index, keywords)
        kept = first.detached if constants else None
        zero = Rules(constants=kept)
        with torch.no_grad(), zero.inside(copy.model), seen:
            before = _raw(copy.run(torch.zeros_like(x), edge_index, keywords), zero)
        leaf = x.detach().clone().requires_grad_()
        rules = Rules(zero.inputs, constants=kept)
        with rules.inside(copy.model), seen:
            after = _raw(copy.run(leaf, edge_index, keywords), rules)
        if rules.maximum:
            return "it takes a maximum over nodes or channels, which has no rule"
        if _adds_up([leaf], [torch.zeros_like(x)], after, before):
            return ""
        return seen.culprit() or "its forward computes something else than layers do"


def _raw(output: Tensor, rules: Rules) -> Tensor:
    """The scores before the softmax that ends the model, if one does."""
    if rules.closing is not None and torch.equal(rules.closing[1], output):
        return rules.closing[0]
    return output


def _adds_up(inputs: list[Tensor], at_zero: list[Tensor], output: Tensor, before: Tensor) -> bool:
    """Whether the inputs' contributions add up to a weighted sum of the outputs' changes."""
    generator = torch.Generator().manual_seed(_SEED)
    weights = torch.rand(output.shape, generator=generator, dtype=torch.float64) + 0.5
    weights = weights.to(output)
    found = torch.autograd.grad(
        output, inputs, weights, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    parts = [
        (multiplier * (one - zero)).double().detach()
        for multiplier, one, zero in zip(found, inputs, at_zero, strict=True)
    ]
    change = (weights * (output - before)).double().detach()
    size = float(sum(part.abs().sum() for part in parts) + change.abs().sum())
    missing = float(sum(part.sum() for part in parts) - change.sum())
    return abs(missing) <= torch.finfo(output.dtype).eps ** 0.4 * size + 1e-30


class _Seen:
    """The inputs and outputs of a model's parts, in two passes; finds the one that has no rule."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._passes: list[dict[str, tuple[list[Tensor], Tensor]]] = []
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        found: dict[str, tuple[list[Tensor], Tensor]] = {}
        self._passes.append(found)

        def hook(name: str) -> Callable[..., None]:
            def see(_: nn.Module, args: Any, output: Any) -> None:
                flat = [a for one in args for a in (one if isinstance(one, tuple) else (one,))]
                taken = [a for a in flat if isinstance(a, Tensor) and a.is_floating_point()]
                if taken and isinstance(output, Tensor):
                    found.setdefault(name, (taken, output))

            return see

        for name, part in self._model.named_modules():
            if name:
                self._handles.append(part.register_forward_hook(hook(name)))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def culprit(self) -> str:
        """The innermost part whose contributions do not add up, or ``""``."""
        before, after = self._passes
        parts = dict(self._model.named_modules())
        wrong = []
        for name in before.keys() & after.keys():
            (inputs, output), (at_zero, was) = after[name], before[name]
            varied = [one for one in zip(inputs, at_zero, strict=True) if one[0].requires_grad]
            if not varied or not output.requires_grad or output.shape != was.shape:
                continue
            if not _adds_up([one for one, _ in varied], [two for _, two in varied], output, was):
                wrong.append(name)
        inner = [one for one in wrong if not any(two.startswith(f"{one}.") for two in wrong)]
        if not inner:
            return ""
        first = min(inner, key=list(parts).index)
        return f"layer {type(parts[first]).__name__} ({first!r}) has no rule"
