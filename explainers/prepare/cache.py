"""Prepared models by model and graph: made once, until either changes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain.config import ModelConfig

from explainers import _compat
from explainers.prepare.checks import EDGE_INPUTS, links_of
from explainers.prepare.model import COMPARED, PreparedModel

GRAPHS_KEPT = 4  # for each model
LINKS_KEPT = 8  # sets of links, for each model and graph
# Data of other kinds, by their class: what prepares a model on them, for nodes of one type.
KINDS: dict[type, Callable[[nn.Module, Any, str | None], PreparedModel]] = {}


@dataclass(frozen=True)
class _Bytes:
    """A tensor's bytes.

    Attributes:
        kept: What they were.
        now: What they are: the tensor's own memory, for as long as its state is the same.
    """

    kept: bytearray
    now: memoryview

    @classmethod
    def of(cls, tensor: Tensor) -> _Bytes:
        """Those of a contiguous tensor on the CPU."""
        now = tensor.detach().view(-1).view(torch.uint8).numpy().data
        return cls(bytearray(now), now)


@dataclass
class _Known:
    """Prepared models, by links and what their outputs mean, and the state they were made of."""

    state: list[Any]
    tensors: list[Tensor]  # kept, so that no other can get their addresses
    content: list[_Bytes | Tensor | None]
    made: dict[bytes, dict[str, PreparedModel]]
    more: list[str]  # what the model takes and the data did not have

    def holds(self, state: list[Any], tensors: list[Tensor], data: Data | HeteroData) -> bool:
        """Whether nothing has changed, as far as it is compared."""
        stores = [data] if isinstance(data, Data) else data.stores
        names = {name.removesuffix("_dict") for name in self.more}
        more = any(isinstance(one.get(name), Tensor) for name in names for one in stores)
        return not more and self.state == state and _same(self.content, tensors)

    def of(
        self, links: Tensor | None, anew: Callable[[], PreparedModel]
    ) -> dict[str, PreparedModel]:
        """Those for some links, by what their outputs mean; the one without a name is the first."""
        key = _key(links)
        made = self.made.pop(key, None)
        if made is None:
            assert links is not None
            some = next(iter(self.made.values()))
            made = {"": some[""].with_links(links) or anew()}
        self.made[key] = made
        if len(self.made) > LINKS_KEPT:
            del self.made[next(iter(self.made))]
        return made


def _key(links: Tensor | None) -> bytes:
    return b"" if links is None else links.cpu().numpy().tobytes()


# The id of the data, whether links are explained, and a node type.
_Place = tuple[int, bool, str | None]
_PREPARED: weakref.WeakKeyDictionary[nn.Module, dict[_Place, _Known]] = weakref.WeakKeyDictionary()
_LOCK = threading.RLock()


def prepare(
    model: nn.Module,
    data: Data | HeteroData,
    config: ModelConfig | dict[str, Any] | None = None,
    edges: Tensor | None = None,
    node_type: str | None = None,
) -> PreparedModel:
    """The :class:`PreparedModel` of a model and a graph; made once, until either changes.

    For other links, ``edges`` [2, R], the user's model and a private copy are run, and nothing
    else is done again as long as the layers' messages are the same for all links; without, the
    links are ``data.edge_label_index`` if the model takes it.

    A change is noticed in the model's weights and buffers and in the tensors of ``data``, whether
    they are replaced or written to, also through ``.data`` or NumPy; and in the model's parts, the
    numbers, names and functions that are their attributes, and their hooks. Of features, and of
    tensors with more than a million entries, writes past torch's version counters are noticed only
    where the computation graphs of the explained nodes read them. Whoever changes anything else
    about a model, such as a list that it keeps, gives a new model object or calls :func:`forget`.

    Of heterogeneous data ``node_type`` is the type whose nodes are explained; None for the one of
    which the model gives outputs.

    Raises:
        ValueError: As :class:`PreparedModel`.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    kind = KINDS.get(type(data))
    if not isinstance(data, Data) and kind is None:
        raise ValueError(f"data must be a torch_geometric.data.Data, got {type(data).__name__}")
    given = _given(data)
    tensors = [tensor for tensor in given if isinstance(tensor, Tensor)]
    of_model, settings = _compat.tensors_and_settings(model)
    tensors += of_model
    with _LOCK, torch.inference_mode(False), torch.no_grad():
        state = [*map(_state, tensors), *settings, _autocast(given)]
        kept = _PREPARED.setdefault(model, {})
        # Models may take links or nodes: one that was looked at for nodes says nothing of links.
        links = None if kind else links_of(model, data, edges)
        takes_links = not kind and (edges is not None or data.get("edge_label_index") is not None)
        place = id(data), takes_links, node_type

        def anew() -> PreparedModel:
            return kind(model, data, node_type) if kind else PreparedModel(model, data, edges)

        known = kept.pop(place, None)
        if known is None or not known.holds(state, tensors, data):
            prepared = anew()
            features = None if kind else given[-1]
            content = [_content(tensor, tensor is features) for tensor in tensors]
            made = {_key(prepared.links): {"": prepared}}
            known = _Known(state, tensors, content, made, prepared.more)
        kept[place] = known
        if len(kept) > GRAPHS_KEPT:
            del kept[next(iter(kept))]
        by_config, asked = known.of(links, anew), _name(config)
        if asked not in by_config:
            by_config[asked] = by_config[""].with_config(config)
        return by_config[asked]


def forget(model: nn.Module) -> None:
    """Lets the next :func:`prepare` begin anew, for a model of which more has changed than that."""
    with _LOCK:
        _PREPARED.pop(model, None)


def _given(data: Data | HeteroData) -> list[Any]:
    """What may be read of the data; the features of a homogeneous graph last."""
    names = ("edge_index", "batch", *EDGE_INPUTS, "x")
    if isinstance(data, Data):
        return [data.get(name) for name in names]
    return [store.get(name) for store in data.stores for name in names]


def _autocast(given: list[Any]) -> Any:
    """The type of numbers that ``torch.autocast`` has a model compute in, if it does."""
    device = next((one.device.type for one in given if isinstance(one, Tensor)), "cpu")
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)


def _name(config: ModelConfig | dict[str, Any] | None) -> str:
    """A configuration as text, the same for the same one."""
    if isinstance(config, ModelConfig):
        config = dict(vars(config))
    return "inferred" if config is None else repr(sorted(dict(config).items(), key=str))


def _state(tensor: Tensor) -> tuple[Any, ...]:
    """What tells that a tensor is another, or lies elsewhere in memory or in another order."""
    version = 0 if tensor.is_inference() else tensor._version
    if tensor.layout != torch.strided:
        return id(tensor), version, tensor.shape
    return id(tensor), version, tensor.shape, tensor.data_ptr(), tensor.stride()


def _content(tensor: Tensor, features: bool) -> _Bytes | Tensor | None:
    """What to compare with later; features are compared row by row as they are read."""
    if features or tensor.numel() > COMPARED or tensor.layout != torch.strided:
        return None
    # Python compares bytes by memcmp, at five times the speed of torch.equal: at every call.
    plain = tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.is_complex()
    return _Bytes.of(tensor) if plain else tensor.detach().clone()


def _same(content: list[_Bytes | Tensor | None], tensors: list[Tensor]) -> bool:
    """Whether tensors of the same state are what was kept of them, bit by bit if that is bytes."""
    differ = []
    for kept, tensor in zip(content, tensors, strict=True):
        if isinstance(kept, _Bytes):
            if kept.kept != kept.now:
                return False
        elif kept is not None:
            differ.append((kept != tensor).any())
    # On a GPU the host waits once for all of them.
    return not differ or not torch.stack([one.to(differ[0].device) for one in differ]).any()
