"""Node sets as coalitions: what the model says if only the subgraph that nodes induce is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explainers.engines.base import Attribution, Problem
from explainers.methods._perturbation import Players

Sets = NDArray[np.bool_]  # a row for each set of nodes
ROWS = 16_384  # nodes of all variants in a pass: they stay in a CPU's cache


class Subgraphs:
    """The output of a problem of one node, as a function of the nodes whose subgraph is there.

    A node outside has features of zero, and its edges send no messages; degrees stay. Of what is
    not attributed (``mask_type``) the graph keeps all. Each set is computed once.

    Attributes:
        count: The nodes of the computation graph, n.
        roots: The explained node, or both ends of a link; of a graph none.
        adjacency: bool [n, n], neighbours whatever the direction, without loops.
        neighbours: Its rows, as the bits of a number each.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem, self._players = problem, Players(problem)
        graphs = problem.graphs
        self.count = graphs.node_counts[0]
        self.roots: list[int] = graphs.roots.unique().tolist()
        self._source, self._target = graphs.edge_index.cpu().numpy()
        self.adjacency = np.zeros((self.count, self.count), dtype=np.bool_)
        self.adjacency[self._source, self._target] = True
        self.adjacency |= self.adjacency.T
        np.fill_diagonal(self.adjacency, False)
        self.neighbours = [_number(row) for row in self.adjacency]
        self._known: dict[int, float] = {}
        # A set's key is a sum of random numbers modulo 2^64: no two of a million sets share one
        # but with a probability of 1e-7.
        draw = np.random.default_rng(0)
        self._names = draw.integers(2**64, size=self.count, dtype=np.uint64)

    @property
    def computed(self) -> int:
        """How many sets were computed."""
        return len(self._known)

    def outputs(self, sets: Sets) -> NDArray[np.float64]:
        """The explained outputs [B] of ``sets`` [B, n]."""
        names = np.where(sets, self._names, np.uint64(0)).sum(axis=1, dtype=np.uint64)
        unique, row, place = np.unique(names, return_index=True, return_inverse=True)
        keys = unique.tolist()
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            found = self._computed(sets[row[new]])
            self._known.update(zip([keys[i] for i in new], found, strict=True))
        return np.array([self._known[key] for key in keys])[place]

    def _computed(self, sets: Sets) -> list[float]:
        most = min(self._problem.coalitions_at_once, max(1, ROWS // self.count))
        found: list[Tensor] = []
        for start in range(0, len(sets), most):
            some = sets[start : start + most]
            # Few sizes of passes, since an engine prepares one for each.
            step = 1 << max(0, len(some).bit_length() - 3)
            size = min(most, -(-len(some) // step) * step)
            padded = np.concatenate([some, np.repeat(some[:1], size - len(some), axis=0)])
            with torch.no_grad():
                found.append(self._players(self._coalitions(padded))[: len(some)])
        outputs: list[float] = torch.cat(found).double().tolist()
        return outputs

    def _coalitions(self, sets: Sets) -> Tensor:
        parts = []
        if self._problem.with_features:
            parts.append(sets)
        if self._problem.with_edges:
            parts.append(sets[:, self._source] & sets[:, self._target])
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def around_roots(self, inside: Sets) -> Sets:
        """The nodes [n] that are connected with a root by nodes ``inside`` [n]."""
        start = sum(1 << root for root in self.roots)
        return self.rows([self._part(start, _number(inside))])[0]

    def components(self, inside: Sets) -> list[Sets]:
        """Those of the subgraph of the nodes ``inside`` [n], by their first nodes."""
        return list(self.rows(self.parts(_number(inside))))

    def parts(self, inside: int) -> list[int]:
        """:meth:`components` of a set, all sets as the bits of a number."""
        found = []
        while inside:
            found.append(self._part(inside & -inside, inside))
            inside &= ~found[-1]
        return found

    def rows(self, sets: Sequence[int]) -> Sets:
        """Sets that are the bits of numbers, as bool [B, n]."""
        width = -(-self.count // 8)
        raw = b"".join(nodes.to_bytes(width, "little") for nodes in sets)
        bits = np.frombuffer(raw, dtype=np.uint8).reshape(len(sets), width)
        return np.unpackbits(bits, axis=1, count=self.count, bitorder="little").astype(np.bool_)

    def _part(self, found: int, inside: int) -> int:
        border = found
        while border:
            reached = 0
            while border:
                lowest = border & -border
                reached |= self.neighbours[lowest.bit_length() - 1]
                border ^= lowest
            border = reached & inside & ~found
            found |= border
        return found


class ConnectedGame:
    """The game in which only connected nodes act together; sets are the bits of a number.

    A connected part is worth the output with its subgraph alone less that with nothing.

    Attributes:
        graph: See :class:`Subgraphs`.
    """

    def __init__(self, problem: Problem) -> None:
        self.graph = Subgraphs(problem)
        # Without messages what is elsewhere does not reach the roots.
        self._only_roots = bool(self.graph.roots) and problem.with_edges
        self._roots = sum(1 << root for root in self.graph.roots)
        self._nothing = float(self.graph.outputs(self.graph.rows([0]))[0])

    def counts(self, part: int) -> bool:
        """Whether a connected part may be worth anything."""
        return not self._only_roots or bool(part & self._roots)

    def worth(self, parts: Sequence[int]) -> dict[int, float]:
        """What connected parts are worth, of which each counts."""
        unique = list(dict.fromkeys(parts))
        if not unique:
            return {}
        outputs = self.graph.outputs(self.graph.rows(unique)) - self._nothing
        return dict(zip(unique, outputs.tolist(), strict=True))


def _number(nodes: Sets) -> int:
    """A set [n] as the bits of a number."""
    return int.from_bytes(np.packbits(nodes, bitorder="little").tobytes(), "little")


def induced(problem: Problem, nodes: Sequence[float] | Tensor, **extra: Any) -> Attribution:
    """For scores [n] of the nodes of one computation graph: an edge has the smaller of its ends'.

    So the edges above any threshold are those of the subgraph that the nodes above it induce.

    Args:
        problem: Of one node.
        nodes: [n].
        **extra: See :class:`explainers.engines.base.Attribution`.
    """
    scores = torch.as_tensor(nodes).to(problem.edge_mask)
    node_mask = torch.zeros_like(problem.x, dtype=problem.edge_mask.dtype)
    edge_mask = torch.zeros_like(problem.edge_mask)
    node_mask[problem.node_rows] = scores[:, None].expand(-1, problem.x.size(1))
    edge_mask[problem.edge_rows] = scores[problem.graphs.edge_index].amin(dim=0)
    return Attribution(node_mask, edge_mask, extra)
