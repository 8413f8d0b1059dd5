"""Methods that go wrong, each in its way, or watch; `conftest.py` installs them as a third party.

The last two are told by variables of the environment what to wait for and where to write.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from torch_geometric.explain import Explanation

from explainers.engines.base import Attribution, Problem
from explainers.methods._base import Method


class Fine(Method):
    """Ones."""

    def attribute(self, problem: Problem) -> Attribution:
        return Attribution(torch.ones_like(problem.x), torch.ones_like(problem.edge_mask))


class Raises(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise RuntimeError("no such luck")


class Hangs(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        time.sleep(10**6)
        raise AssertionError


class HangsBeforeItsCell(Fine):
    def supports(self, *arguments: Any) -> bool:
        time.sleep(10**6)
        raise AssertionError


class NotFinite(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        found = super().attribute(problem)
        found.edge_mask[0] = float("nan")
        return found


class WrongShape(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        found[0].edge_mask = found[0].edge_mask[:-1]
        return found


class NotDetached(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        found[0].edge_mask.requires_grad_()
        return found


class ChangesModel(Fine):
    def explain(self, model: torch.nn.Module, *arguments: Any) -> list[Explanation]:
        with torch.no_grad():
            next(model.parameters()).mul_(2)
        return super().explain(model, *arguments)


class ChangesData(Fine):
    def explain(self, model: torch.nn.Module, data: Any, *arguments: Any) -> list[Explanation]:
        data.x.mul_(2)
        return super().explain(model, data, *arguments)


class EatsMemory(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        eaten = []
        while True:  # not touched: the limit is met long before the machine's memory is
            eaten.append(torch.empty(2**28, dtype=torch.uint8))


class Exits(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        os._exit(0)


class Segfaults(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        ctypes.string_at(0)
        raise AssertionError


class Waits(Fine):
    """Ones, as soon as there is a file."""

    def attribute(self, problem: Problem) -> Attribution:
        while not Path(os.environ["GNN_BENCH_TEST_GO"]).exists():
            time.sleep(0.05)
        return super().attribute(problem)


class Watches(Fine):
    """Ones; tells of its process since when and until when it was there, and for which tests."""

    def attribute(self, problem: Problem) -> Attribution:
        time.sleep(0.05)
        process = psutil.Process()
        told = {"begin": process.create_time(), "end": time.time(), "arguments": sys.argv}
        path = Path(os.environ["GNN_BENCH_TEST_WATCH"], f"{process.pid}.json")
        path.write_text(json.dumps(told))
        return super().attribute(problem)
