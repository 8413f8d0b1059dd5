"""Methods that go wrong, each in its way, or watch; `conftest.py` installs them as a third party.

The last ones are told by variables of the environment what to wait for and where to write.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch_geometric.explain import Explanation

import explainers.metrics
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


class ExitsPolitely(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        sys.exit(0)


class Interrupts(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise KeyboardInterrupt


class InterruptsBeforeItsCell(Fine):
    def supports(self, *arguments: Any) -> bool:
        raise KeyboardInterrupt


class Skips(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        pytest.skip("not today")
        raise AssertionError


class Huge(Fine):
    """Scores whose squares are beyond float32, and a message that is no text."""

    def attribute(self, problem: Problem) -> Attribution:
        found = super().attribute(problem)
        return Attribution(found.node_mask, found.edge_mask * 3e38)


class HalfACharacter(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise RuntimeError("half \ud800, bell \x07, right to left \u202e")


class ChangesAndRaises(Fine):
    def explain(self, model: torch.nn.Module, data: Any, *arguments: Any) -> list[Explanation]:
        data.x.mul_(2)
        raise RuntimeError("no such luck")


class FlipsEdges(Fine):
    def explain(self, model: torch.nn.Module, data: Any, *arguments: Any) -> list[Explanation]:
        found = super().explain(model, data, *arguments)
        for one in found:
            one.edge_index = one.edge_index.flip(0)
        return found


class OtherTarget(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.target = (one.target + 1) % len(one.prediction)
        return found


class InReverse(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        return super().explain(*arguments)[::-1]


class ClosesThePipe(Fine):
    """The supervisor hears no more of it, nor of its end."""

    def attribute(self, problem: Problem) -> Attribution:
        os.closerange(3, 300)
        time.sleep(10**6)
        raise AssertionError


class ForksAndCrashes(Fine):
    """Its child holds whatever a child inherits, and outlives it."""

    def attribute(self, problem: Problem) -> Attribution:
        if os.fork() == 0:
            time.sleep(10**6)
        ctypes.string_at(0)
        raise AssertionError


class Forks(Fine):
    """Both return."""

    def attribute(self, problem: Problem) -> Attribution:
        os.fork()
        return super().attribute(problem)


class LeavesThingsRunning(Fine):
    """A thread, a process in a session of its own, and something at the exit."""

    def attribute(self, problem: Problem) -> Attribution:
        threading.Thread(target=time.sleep, args=(10**6,), daemon=False).start()
        subprocess.Popen([sys.executable, "-c", _SLEEP], start_new_session=True)
        atexit.register(time.sleep, 10**6)
        return super().attribute(problem)


_SLEEP = "import os, time; os.fork() and os._exit(0); time.sleep(10**6)"


class Poisons(Fine):
    """Leaves the process in a state in which nobody else's numbers are right."""

    def attribute(self, problem: Problem) -> Attribution:
        found = super().attribute(problem)
        torch.nn.modules.module.register_module_forward_hook(lambda *given: given[-1] * 3)
        torch.nn.Module.eval = lambda module: module.train(True)
        torch.Tensor.softmax = lambda tensor, *_, **__: torch.zeros_like(tensor)
        torch.autograd.grad = lambda *_, **__: (torch.zeros(1),)
        explainers.metrics.evaluate = lambda *_, **__: []
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(7)
        torch.manual_seed(1)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        os.environ["GNN_BENCH_DATA"] = "/nowhere"
        sys.setrecursionlimit(150)
        gc.disable()
        sys.stdout.close()
        return found


class Waits(Fine):
    """Ones, as soon as there is a file."""

    def attribute(self, problem: Problem) -> Attribution:
        while not Path(os.environ["GNN_BENCH_TEST_GO"]).exists():
            time.sleep(0.05)
        return super().attribute(problem)


class WaitsWhileTimed(Fine):
    """Ones, but for ever where pytest-benchmark has the time taken; says when it is there."""

    def attribute(self, problem: Problem) -> Attribution:
        if "pedantic" in (frame.name for frame in traceback.extract_stack()):
            Path(os.environ["GNN_BENCH_TEST_HERE"]).touch()
            time.sleep(10**6)
        return super().attribute(problem)


class IsDeaf(Fine):
    """Hears of no interrupt; says when it is there."""

    def attribute(self, problem: Problem) -> Attribution:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Path(os.environ["GNN_BENCH_TEST_HERE"]).touch()
        time.sleep(10**6)
        raise AssertionError


class Watches(Fine):
    """Ones; tells of its process since when and until when it was there, and for which tests."""

    def attribute(self, problem: Problem) -> Attribution:
        time.sleep(0.05)
        process = psutil.Process()
        told = {"begin": process.create_time(), "end": time.time(), "arguments": sys.argv}
        path = Path(os.environ["GNN_BENCH_TEST_WATCH"], f"{process.pid}.json")
        path.write_text(json.dumps(told))
        return super().attribute(problem)
