"""Where a model is cut in two: at a value behind its first message passing.

What comes before is evaluated by itself; what comes after, the rest, is the user's own ``forward``,
in which that value is put in the place of what would have been computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from explainers.engines.blocks import Blocks
from explainers.prepare.copies import ModelCopy
from explainers.prepare.model import PreparedModel


@dataclass(frozen=True)
class Point:
    """A value that a model computes once its first layer has sent its messages.

    Attributes:
        layer: The number of that layer.
        module: The name in the model of the module that returns the value: the layer, or one that
            the layer calls after its messages.
        attribute: What of the module returns it: ``"forward"``, or the layer's ``"propagate"``.
        width: The columns of what ``propagate`` returns.
    """

    layer: int
    module: str
    attribute: str
    width: int


class _Reached(BaseException):
    """Ends a pass at a value. No error: what handles a model's errors lets it through."""

    def __init__(self, value: Any = None) -> None:
        super().__init__()
        self.value = value


def candidates(
    prepared: PreparedModel, blocks: Blocks, x: Tensor, edge_mask: Tensor
) -> list[Point]:
    """Points of the first layer that sends messages, the best first; seen in a pass.

    The later the point, the less is left to be computed at each step: the layer's result; those of
    the modules that it calls after its messages, the last first; and the sums of the messages.
    """
    found: list[tuple[str, str]] = []
    first: list[tuple[int, int]] = []  # the layer, and the columns of its sums

    def sent(number: int) -> Callable[..., None]:
        def note(layer: MessagePassing, inputs: Any, output: Any) -> None:
            width = output.size(-1) if isinstance(output, Tensor) else 0
            if first:  # a layer that sends messages again: what comes after is not linear
                raise _Reached
            first.append((number, width))

        return note

    def called(name: str, number: int) -> Callable[..., None]:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if first and first[0][0] == number:
                found.append((name, "forward"))
                if isinstance(module, MessagePassing):
                    raise _Reached

        return note

    with prepared.borrowed() as copy, ExitStack() as stack:
        names = {id(module): name for name, module in copy.model.named_modules()}
        for number, layer in enumerate(copy.layers):
            hook = layer.register_propagate_forward_hook(sent(number))
            stack.callback(hook.remove)
            for module in layer.modules():
                hook = module.register_forward_hook(called(names[id(module)], number))
                stack.callback(hook.remove)
        with suppress(_Reached):
            blocks.run(x, edge_mask)
        if not first:
            return []
        number, width = first[0]
        found.insert(0, (names[id(copy.layers[number])], "propagate"))
    return [Point(number, name, attribute, width) for name, attribute in reversed(found)]


def value_at(
    prepared: PreparedModel, point: Point, blocks: Blocks, x: Tensor, edge_mask: Tensor
) -> Tensor | None:
    """The value at a point, [n, H], for features [n, F] and an edge mask [e]; nothing beyond it.

    None if it is no such tensor.
    """

    def reached(module: nn.Module, inputs: Any, output: Any) -> None:
        raise _Reached(output)

    with prepared.borrowed() as copy:
        module = copy.model.get_submodule(point.module)
        if point.attribute == "propagate":
            hook = copy.layers[point.layer].register_propagate_forward_hook(reached)
        else:
            hook = module.register_forward_hook(reached)
        try:
            blocks.run(x, edge_mask)
        except _Reached as end:
            value = end.value
            fits = isinstance(value, Tensor) and value.dim() == 2 and len(value) == len(x)
            return value if fits else None
        finally:
            hook.remove()
    return None


@contextmanager
def replaced(copy: ModelCopy, point: Point, value: Tensor) -> Iterator[None]:
    """Inside, one pass of the copy has ``value`` [n, H] at the point, and computes nothing for it.

    A layer or module that is called again, as one with shared weights is, then does as ever.
    """
    module, layer = copy.model.get_submodule(point.module), copy.layers[point.layer]

    def value_itself(*_: Any, **__: Any) -> Tensor:
        if module is layer:
            copy.skip(point.layer)
        return value

    def nothing(*_: Any, **__: Any) -> Tensor:
        copy.skip(point.layer)
        return value.new_zeros(()).expand(len(value), point.width)

    with ExitStack() as stack:
        stack.enter_context(_once(module, point.attribute, value_itself))
        if module is not layer:
            stack.enter_context(_once(layer, "propagate", nothing))
        yield


@contextmanager
def _once(module: nn.Module, name: str, function: Callable[..., Tensor]) -> Iterator[None]:
    """Inside, the first call of a module's method is one of ``function``."""
    own = vars(module)
    before = own.get(name)

    def put_back() -> None:
        if before is None:
            own.pop(name, None)
        else:
            own[name] = before

    def call(*args: Any, **kwargs: Any) -> Tensor:
        put_back()
        return function(*args, **kwargs)

    own[name] = call
    try:
        yield
    finally:
        put_back()
