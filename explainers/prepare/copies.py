"""Private copies of the user's model: they share its weights, and whatever is set on them is ours.

The user's model never sees an explainer (PyG issue 9653: after ``GNNExplainer``, a registered
``_edge_mask`` makes Captum fail on the same model).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from explainers import _compat

# For a layer and its how-manieth call in a pass, both by number: the mask over the edges of that
# call [L], or None to leave its messages as they are.
Masks = Callable[[int, int], Tensor | None]


class ModelCopy:
    """A private copy, in eval mode, whose messages can be masked; for one pass at a time.

    Attributes:
        model: The copy; its parameters require no gradient.
        layers: Its message-passing layers.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = private_copy(model)
        self.layers = message_passing(self.model)
        self._masks: Masks | None = None
        self._calls = [0] * len(self.layers)
        for number, layer in enumerate(self.layers):
            layer.register_propagate_forward_pre_hook(self._counting(number))
            layer.register_message_forward_hook(self._masking(number))

    def run(
        self,
        x: Tensor,
        edge_index: Tensor,
        keywords: Mapping[str, Tensor],
        masks: Masks | None = None,
        norms: Mapping[int, tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """The model's output.

        Args:
            x: [n, F].
            edge_index: [2, e].
            keywords: What the model takes besides.
            masks: What to multiply onto the messages; not of layers with ``explain=False``, which
                PyG exempts.
            norms: For layers by number, edges and normalised weights that a GCNConv takes in the
                place of its own.
        """
        self._masks, self._calls = masks, [0] * len(self.layers)
        for number, norm in (norms or {}).items():
            _compat.set_norm(self.layers[number], norm)
        try:
            output: Tensor = self.model(x, edge_index, **keywords)
            # [R], and of one link that a model has squeezed [], is a column.
            return output.view(-1, 1) if output.dim() < 2 else output
        finally:
            self._masks = None
            for number in norms or {}:
                _compat.set_norm(self.layers[number], None)

    @property
    def calls(self) -> list[int]:
        """How many times each layer has sent messages in the last pass."""
        return list(self._calls)

    def skip(self, number: int) -> None:
        """Counts a layer's call that does not take place, as its result is known."""
        self._calls[number] += 1

    def take_mask(self, number: int) -> Tensor | None:
        """The mask of a layer's call that is computed elsewhere, which counts as a call."""
        self.skip(number)
        return None if self._masks is None else self._masks(number, self._calls[number] - 1)

    def _counting(self, number: int) -> Callable[..., None]:
        def count(*_: Any) -> None:
            self._calls[number] += 1

        return count

    def _masking(self, number: int) -> Callable[..., Tensor | None]:
        def mask(layer: MessagePassing, _: Any, message: Tensor) -> Tensor | None:
            if self._masks is None or layer.explain is False:
                return None
            found = self._masks(number, self._calls[number] - 1)
            if found is None:
                return None
            # As PyG's explain_message: one factor a message, along the layer's node dimension.
            shape = [1] * message.dim()
            shape[layer.node_dim] = -1
            return message * found.view(shape)

        return mask


def private_copy(model: nn.Module) -> nn.Module:
    """A copy that shares the weights, in eval mode, without caches and explainers' remains.

    Raises:
        ValueError: The model cannot be copied.
    """
    memo = _compat.leftovers(model)
    for layer in message_passing(model):
        memo.update(_compat.stripped_state(layer))
    for parameter in model.parameters():
        memo.setdefault(id(parameter), nn.Parameter(usable(parameter), requires_grad=False))
    for buffer in model.buffers():
        memo[id(buffer)] = buffer
    try:
        copied = copy.deepcopy(model, memo).eval()
    except Exception as error:
        raise ValueError(
            f"model {type(model).__name__} cannot be copied with copy.deepcopy, which keeps "
            f"explainers from changing it: {error}; give it a __deepcopy__, or move what cannot be "
            "copied out of the module"
        ) from error
    for layer in message_passing(copied):
        _compat.forget_caches(layer)
        _compat.strip(layer)
    return copied


@contextmanager
def as_called(model: nn.Module) -> Iterator[None]:
    """The user's own model in eval mode, without explainers' remains; afterwards as it was."""
    modes = [(part, part.training) for part in model.modules()]
    put_back = [_compat.strip(layer) for layer in message_passing(model) if _compat.has_mask(layer)]
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        for again in put_back:
            again()


class WritesToInputs(ValueError):
    """A model changes what it is called with."""


@contextmanager
def unwritten(name: str, given: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, the model ``name`` is called with these tensors, and must not write to them.

    Raises:
        WritesToInputs: It does: the data are not what they were, and would change with each pass.
    """
    before = {key: tensor._version for key, tensor in given.items()}
    yield
    written = [key for key, tensor in given.items() if tensor._version != before[key]]
    if written:
        raise WritesToInputs(
            f"model {name} writes to its inputs in place ({', '.join(written)}), which has changed "
            "the data; begin its forward with a copy, such as x = x.clone(), or use operations "
            "that are not in place, and load the data anew"
        )


def message_passing(model: nn.Module) -> list[MessagePassing]:
    """The message-passing layers of a model."""
    return [part for part in model.modules() if isinstance(part, MessagePassing)]


@contextmanager
def others_refused(copy: ModelCopy, name: str) -> Iterator[None]:
    """Inside, a message-passing layer that is no part of the copy must not run.

    It would be the user's own, on which nothing may be set: its messages could not be masked.

    Raises:
        ValueError: One does.
    """
    own, thread = {id(layer) for layer in copy.layers}, threading.get_ident()

    def check(part: nn.Module, _: Any) -> None:
        mine = threading.get_ident() == thread  # the hook is everybody's
        if mine and isinstance(part, MessagePassing) and id(part) not in own:
            raise ValueError(
                f"model {name} runs a layer {type(part).__name__} that is not its module (kept "
                "in a list, or by a forward that was replaced), whose messages cannot be masked; "
                "make it an attribute of the model or put it into a ModuleList"
            )

    handle = nn.modules.module.register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        handle.remove()


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside of ``torch.compile`` and of ``DataParallel``, which compute what it does.

    They hide its signature, and a compiled model its layers' hooks.
    """
    while True:
        inner = _compat.original_module(model)
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner


def usable(tensor: Tensor) -> Tensor:
    """Detached; and copied if it was made in inference mode, which autograd would refuse."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def rows_of(output: object) -> list[int] | str:
    """The shape of a model's output for messages, or its type if it is no tensor."""
    return list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
