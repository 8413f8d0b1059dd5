"""A stack of one or two GCNConv layers, taken apart: what of it belongs to the graph alone."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.explain.config import ModelConfig, ModelReturnType
from torch_geometric.nn import GCNConv

from explainers.prepare.model import PreparedModel
from explainers.prepare.outputs import is_multiclass


@dataclass(frozen=True)
class Layer:
    """A GCNConv.

    Attributes:
        weight: [H, F].
        bias: [H].
        norm: [E'], the norms of the edges in the order of the network's index.
        loops: [N], those of the self loops; 0 if it has none.
    """

    weight: Tensor
    bias: Tensor
    norm: Tensor
    loops: Tensor

    @classmethod
    def of(cls, prepared: PreparedModel, number: int) -> Layer:
        """Takes a layer apart, a GCNConv."""
        layer: GCNConv = prepared.layers[number]
        weight = layer.lin.weight
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias
        edges, loops = prepared.norm(number)
        loops = loops if len(loops) else edges.new_zeros(prepared.num_nodes)
        return cls(weight, bias, edges[prepared.index.edge], loops)


@dataclass(frozen=True)
class GCNParameters:
    """The layers, and what of them does not depend on the explained node.

    Attributes:
        layers: One or two.
        y: [N, H], the features transformed by the first layer, Y.
        a: [N, H], their sums A over the incoming edges.
        s: [N, H], the self loops' S.
        config: What the model makes of the last layer's result.
        bytes_per_unit: [N], roughly what an explanation of each node takes; on the CPU.
    """

    layers: tuple[Layer, ...]
    y: Tensor
    a: Tensor
    s: Tensor
    config: ModelConfig
    bytes_per_unit: Tensor

    @classmethod
    def of(cls, prepared: PreparedModel) -> GCNParameters:
        """Takes a network's layers apart, in their order."""
        layers = tuple(Layer.of(prepared, number) for number in range(len(prepared.layers)))
        y = prepared.x @ layers[0].weight.t()
        index = prepared.index
        # The index has the edges by destination: a sparse product, with nothing of size E x H.
        a = weighted_sums(index.indptr, index.source, layers[0].norm, y)
        # Scores of features, and some 20 whole numbers for an edge and its source.
        each = prepared.x.size(1) * prepared.x.element_size() + 20 * 8
        size = (index.size_bound(prepared.hops) + 1).cpu() * each
        s = y * layers[0].loops[:, None]
        return cls(layers, y, a, s, prepared.config, size)

    def head(self, z: Tensor) -> Tensor:
        """The model's output [..., C] of the last layer's result."""
        multiclass = is_multiclass(self.config)
        if self.config.return_type == ModelReturnType.log_probs:
            return z.log_softmax(-1) if multiclass else torch.nn.functional.logsigmoid(z)
        if self.config.return_type == ModelReturnType.probs:
            return z.softmax(-1) if multiclass else z.sigmoid()
        return z

    def slope(self, z: Tensor, targets: Tensor) -> Tensor:
        """The gradient by z [R, S, C] of the outputs of the classes ``targets`` [R]."""
        chosen = torch.zeros_like(z[:, :1]).scatter_(2, targets.view(-1, 1, 1), 1.0)
        if self.config.return_type == ModelReturnType.raw:
            return chosen.expand_as(z)
        log = self.config.return_type == ModelReturnType.log_probs
        if not is_multiclass(self.config):
            p = z.sigmoid()
            return chosen * (1 - p) if log else chosen * p * (1 - p)
        p = z.softmax(dim=-1)
        return chosen - p if log else (p * chosen).sum(dim=-1, keepdim=True) * (chosen - p)


def weighted_sums(ptr: Tensor, column: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """A sparse matrix, given by its rows, times a dense one; entries may share their place."""
    # As fast as torch's product with a sparse CSR matrix, without making one, and its result is
    # written once and not thrice.
    return torch.nn.functional.embedding_bag(
        column, dense, ptr, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def products(ptr: Tensor, column: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """<one[i], other[j]> for the columns j of each row i, [e]; ``one`` [I, H], ``other`` [J, H]."""
    if len(column) > len(one) * len(other):  # so many duplicates torch's sparse matrices lose
        row = torch.repeat_interleave(ptr.diff(), output_size=len(column))
        return (one.index_select(0, row) * other.index_select(0, column)).sum(dim=1)
    _accept_beta()
    zeros = one.new_zeros(len(column))
    shape = (len(one), len(other))
    pattern = torch.sparse_csr_tensor(ptr, column, zeros, shape, check_invariants=False)
    return torch.sparse.sampled_addmm(pattern, one, other.t(), beta=0.0).values()


@functools.cache
def _accept_beta() -> None:
    """Has torch say only here, unheard, what it says once: that sparse CSR tensors are in beta.

    torch 2.11 also says once that their invariants are not checked, although that is asked for.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta|Sparse invariant")
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1), check_invariants=False)
