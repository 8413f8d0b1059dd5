"""The test device computes what the CPU does, refuses what CUDA refuses and counts what waits."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from .strict_device import NAME, Mixed, StrictTensor, set_up, waits

set_up()

ROWS, POINTERS = torch.tensor([2, 0, 2, 1]), torch.tensor([0, 1, 3, 4])


def given():
    generator = torch._C.Generator().manual_seed(0)
    return torch.randn(4, 3, generator=generator, dtype=torch.float64)


def in_place(x):
    x = x.clone()
    x[1:3].mul_(2).t().add_(1)  # views of views
    x.view(-1)[0] = 7.0
    x[ROWS.to(x.device) == 2] = 0.0
    x.t_().unsqueeze_(0)  # views of themselves
    assert x.shape == (1, 3, 4)
    return x + 0


def gradient(x):
    x = x.clone().requires_grad_()
    out = x.new_zeros(3, 3).index_add_(0, ROWS.to(x.device), x * x)
    torch.einsum("ij,kj->ik", out, x).softmax(-1).square().sum().backward()
    return x.grad


def sparse(x):
    pointers, columns = POINTERS.to(x.device), ROWS.to(x.device)
    one = torch.sparse_csr_tensor(pointers, columns, x[:, 0], (3, 3), check_invariants=False)
    sampled = torch.sparse.sampled_addmm(one, x[:3], x[:3].t(), beta=0.0)
    return torch.cat([one @ x[:3], sampled.values()[:, None] * x])


def bags(x):
    return F.embedding_bag(ROWS.to(x.device), x, POINTERS[:-1].to(x.device), mode="sum")


def optimised(x):
    parameter = nn.Parameter(x.clone())
    for fused in (True, False):
        optimiser = torch.optim.Adam([parameter], lr=0.1, fused=fused)
        parameter.grad = x.cos()
        optimiser.step()
    return parameter.detach()


def module(x):
    layer = nn.Linear(3, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(given()[:2])
        layer.bias.zero_()
    layer = copy.deepcopy(layer.to(x.device))
    assert all(isinstance(one, nn.Parameter) for one in layer.parameters())
    return layer(x).detach()


def made(x):
    number = torch.arange(4, device=x.device)
    order = torch.tensor([3, 1, 0, 2], device=x.device)
    return x[order] * (number[:, None] + torch.eye(4, 3, device=x.device)) + x.new_tensor(2.0)


def sizes(x):
    which = torch.repeat_interleave(ROWS.to(x.device))
    return torch.cat([which.unique(), (x > 0).nonzero().flatten(), which.bincount()]).double()


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(
    "compute", [in_place, gradient, sparse, bags, optimised, module, made, sizes]
)
def test_it_computes_what_the_cpu_does(compute):
    result = compute(given().to(NAME))
    assert isinstance(result, StrictTensor)
    assert result.device.type == NAME
    assert torch.equal(result.cpu(), compute(given()))


def test_it_keeps_track_of_what_tensors_share():
    x = given().to(NAME)
    view, other = x.t(), x.clone()
    version = x._version
    view.zero_()
    assert x._version == view._version == version + 1
    assert not x.cpu().any()
    assert other.cpu().any()
    assert view.data_ptr() == x.data_ptr() != other.data_ptr()


# What CUDA refuses: its tensor is `a`, the others are of the CPU.
REFUSED = {
    "elementwise": lambda a, x: a + x,
    "a number of the device": lambda a, x: x * a.sum(),
    "two numbers of the CPU": lambda a, x: torch.addcmul(a, x[0, 0], x[0, 1]),
    "into the CPU": lambda a, x: x.add_(a),
    "product": lambda a, x: a @ x.t(),
    "cat": lambda a, x: torch.cat([a, x]),
    "index_select": lambda a, x: a.index_select(0, ROWS),
    "index of the device": lambda a, x: x[ROWS.to(a.device)],
    "mask of the device": lambda a, x: x[a[:, 0] > 0],
    "index_add_": lambda a, x: a.index_add_(0, ROWS, a),
    "values": lambda a, x: a.index_put_((ROWS,), x),
    "where": lambda a, x: torch.where(x > 0, a, 0.0),
    "masked_fill": lambda a, x: a.masked_fill(x > 0, 0.0),
    "searchsorted": lambda a, x: torch.searchsorted(a[0].contiguous(), x[0]),
    "generator": lambda a, x: torch.rand(3, device=a.device, generator=torch.Generator()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_what_cuda_refuses(name):
    x = given()
    with pytest.raises(Mixed):
        REFUSED[name](x.to(NAME), x)


# What CUDA accepts, as it is with all on the device.
ACCEPTED = {
    "a number of the CPU": lambda a, x: a * x[0, 0],
    "a number of Python": lambda a, x: 2 - a,
    "index of the CPU": lambda a, x: a[ROWS],
    "mask of the CPU": lambda a, x: a[x[:, 0] > 0],
    "number into rows": lambda a, x: a.clone().index_put_((ROWS,), x[0, 0]),
    "fill": lambda a, x: a.masked_fill(a > 0, x[0, 0]),
    "copy": lambda a, x: torch.zeros_like(a).copy_(x),
    "row": lambda a, x: a[int(ROWS[0])],
    "generator": lambda a, x: torch.rand(
        3, device=a.device, generator=torch.Generator(a.device).manual_seed(3)
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_accepts_what_cuda_accepts(name):
    x = given()
    result = ACCEPTED[name](x.to(NAME), x)
    assert isinstance(result, StrictTensor)
    assert torch.equal(result.cpu(), ACCEPTED[name](x, x))


def test_numpy_is_not_handed_its_tensors():
    x = given().to(NAME)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: torch.from_numpy(x)):
        with pytest.raises(TypeError):
            convert()


def ones(a):
    return torch.ones_like(a[0], dtype=torch.long)


COUNTED = {
    "item": (1, lambda a: a[0, 0].item()),
    "bool": (1, lambda a: bool((a > 0).all())),
    "tolist": (1, lambda a: a.tolist()),
    "cpu": (1, lambda a: a.cpu()),
    "to the device": (1, lambda a: ROWS.to(a.device)),
    "made of numbers": (1, lambda a: torch.tensor([1.0, 2.0], device=a.device)),
    "nonzero": (1, lambda a: a.nonzero()),
    "unique": (1, lambda a: a.unique()),
    "equal": (1, lambda a: torch.equal(a, a)),
    "mask": (1, lambda a: a[a[:, 0] > 0]),
    "index of the CPU": (1, lambda a: a[ROWS]),
    "repeat_interleave": (1, lambda a: torch.repeat_interleave(a[0].long().abs())),
    "of known size": (0, lambda a: a[0].repeat_interleave(ones(a), output_size=3)),
    "number by mask": (0, lambda a: a.__setitem__(a > 0, 0.0)),
    "sort, sum, product": (0, lambda a: (a.sort().values @ a.t()).sum(0)),
    "made on the device": (0, lambda a: torch.arange(3, device=a.device) + a.new_zeros(3)),
    "without waiting": (0, lambda a: torch.ones(3).to(a.device, non_blocking=True)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_it_counts_what_waits(name):
    expected, compute = COUNTED[name]
    a = given().to(NAME)
    with waits() as counted:
        compute(a)
    assert sum(counted.values()) == expected, counted
