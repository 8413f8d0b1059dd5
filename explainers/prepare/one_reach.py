"""The computation graph of one node or link, found on the host.

The same as :func:`explainers.prepare.computation_graph.reach` finds for many. Of one it is
some forty operations on few numbers, each of which NumPy begins sooner than torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class HostIndex:
    """The memory of a :class:`explainers.prepare.csr.CSC` on the CPU, as NumPy has it.

    Attributes:
        indptr: [N + 1], as in the index; and so the next two.
        edge: [E].
        source: [E].
        slot_of_edge: [E], the slot of each edge in the order of the sources, as they are indexed.
        slot_of_node: [N], that of each node.
        owner: [E + N], the node at, or at the source of, each slot.
        ascending: Whether the edges as given are in the order of their sources.
    """

    indptr: Ints
    edge: Ints
    source: Ints
    slot_of_edge: Ints
    slot_of_node: Ints
    owner: Ints
    ascending: bool


@dataclass(frozen=True)
class OneReach:
    """What :class:`explainers.prepare.computation_graph.Reach` has, of one node or link.

    The names are those there, and those of ``ComputationGraphs``.
    """

    n_id: Tensor
    e_id: Tensor
    edge_index: Tensor
    root: Tensor
    inner: Tensor
    inner_id: Tensor
    own: Tensor
    ptr: Tensor
    position: Tensor
    target: Tensor
    order: Tensor
    out_ptr: Tensor
    out: Tensor


def one_reach(index: HostIndex, roots: Ints, hops: int) -> OneReach:
    """The computation graph of ``roots`` together in a network of ``hops`` message-passing layers.

    A node [1], or both ends of a link [1, 2], which may be one node.
    """
    inner = roots if roots.ndim == 1 else np.unique(roots)
    for _ in range(hops - 1):
        _, position, _ = _expand(index.indptr, inner)
        inner = np.sort(np.concatenate([inner, index.source[position]]))
        inner = inner[_firsts(inner)]
    ptr, position, target = _expand(index.indptr, inner)
    edges = len(position)

    # One sort puts the edges in the order of their sources and finds the nodes.
    keys, out = _sorted(np.concatenate([index.slot_of_edge[position], index.slot_of_node[inner]]))
    owner = index.owner[keys]
    first = _firsts(owner)
    row = np.empty_like(out)
    row[out] = first.cumsum() - 1
    starts = first.nonzero()[0]
    e_id = index.edge[position]
    order = out[out < edges] if index.ascending else _sorted(e_id)[1]
    inner_row = row[edges:]
    edge_index = np.stack([row[:edges][order], inner_row[target[order]]])
    own = inner.searchsorted(roots)
    return OneReach(
        # What an explanation has is torch's own memory, which may be resized.
        n_id=torch.from_numpy(owner[starts]).clone(),
        e_id=torch.from_numpy(e_id[order]).clone(),
        edge_index=torch.from_numpy(edge_index).clone(),
        root=torch.from_numpy(inner_row[own]),
        inner=torch.from_numpy(inner_row),
        inner_id=torch.from_numpy(inner),
        own=torch.from_numpy(own),
        ptr=torch.from_numpy(ptr),
        position=torch.from_numpy(position),
        target=torch.from_numpy(target),
        order=torch.from_numpy(order),
        out_ptr=torch.from_numpy(np.append(starts, len(out))),
        out=torch.from_numpy(out),
    )


def _expand(ptr: Ints, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """As :func:`explainers.prepare.csr.expand`."""
    first = ptr[rows]
    degree = ptr[rows + 1] - first
    own = np.zeros(len(rows) + 1, dtype=np.int64)
    degree.cumsum(out=own[1:])
    which = np.arange(len(rows)).repeat(degree)
    return own, np.arange(own[-1]) + (first - own[:-1])[which], which


def _firsts(values: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where another value begins, of values that lie side by side."""
    first = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return first


def _sorted(keys: Ints) -> tuple[Ints, Ints]:
    """Distinct keys, ascending, and their order."""
    room = max(len(keys) - 1, 0).bit_length()
    if int(keys.max(initial=0)).bit_length() + room > 63:
        order = keys.argsort()
        return keys[order], order
    # The order is packed behind the keys: NumPy sorts numbers with vector instructions.
    packed = (keys << room) + np.arange(len(keys))
    packed.sort()
    return packed >> room, packed & ((1 << room) - 1)
