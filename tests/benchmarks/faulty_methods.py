"""Methods that go wrong, each in its way, or watch; `conftest.py` installs them as a third party.

The last ones are told by variables of the environment what to wait for and where to write.
"""

# long: one table of all that can go wrong
from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import functools
import gc
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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


class ExitsPolitely(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        sys.exit(0)


class Interrupts(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise KeyboardInterrupt


class InterruptsBeforeItsCell(Fine):
    def supports(self, *arguments: Any) -> bool:
        raise KeyboardInterrupt


class InterruptsItself(Fine):
    """Not the user has done that."""

    def attribute(self, problem: Problem) -> Attribution:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
        raise AssertionError


class ClosesItsGenerator(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise GeneratorExit


class RaisesItsOwn(Fine):
    """... whose message cannot be read, of two kinds."""

    def attribute(self, problem: Problem) -> Attribution:
        raise _OwnError


class RaisesNoException(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise _Own


class _Own(BaseException):
    def __str__(self) -> str:
        raise RuntimeError


class _OwnError(_Own, RuntimeError):
    pass


class RaisesAtLength(Fine):
    """100 MB, with which a traceback is drawn, too."""

    def attribute(self, problem: Problem) -> Attribution:
        raise RuntimeError("no such luck " + "x" * 10**8)


class RaisesManyLines(Fine):
    """And control characters; by its ``repr``, in an error that led to another."""

    def attribute(self, problem: Problem) -> Attribution:
        raise KeyError("no luck") from ValueError(_Long())


class RaisesAtLengthBeforeItsCell(Fine):
    def supports(self, *arguments: Any) -> bool:
        raise RuntimeError("no such luck" + "\n\x07" * 10**8)


class InterruptsWhenRead(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        raise _Interrupts


class _Interrupts(RuntimeError):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class _Long:
    def __repr__(self) -> str:
        return "no such luck" + "\n\x07" * 5 * 10**7


class ExitsPytest(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        pytest.exit("enough")
        raise AssertionError


class ExitsPytestBeforeItsCell(Fine):
    def supports(self, *arguments: Any) -> bool:
        pytest.exit("enough")
        raise AssertionError


class Recurses(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        return self.attribute(problem)


class GivesNothing(Fine):
    def explain(self, *arguments: Any) -> Any:
        return None


class GivesWithoutEnd(Fine):
    def explain(self, *arguments: Any) -> Any:
        return itertools.cycle(super().explain(*arguments))


class GivesAnIterator(Fine):
    """No time is taken until it is read, and then it is empty."""

    def explain(self, *arguments: Any) -> Any:
        yield from super().explain(*arguments)


class EmptiesTheNodes(Fine):
    """Of no node there is nothing to explain."""

    def explain(self, model: torch.nn.Module, data: Any, nodes: Any, *arguments: Any) -> Any:
        nodes.clear()
        return []


class SortsEdges(Fine):
    """Ids, edges and scores alike."""

    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.e_id, one.edge_mask = one.e_id.flip(0), one.edge_mask.flip(0)
            one.edge_index = one.edge_index.flip(1)
        return found


class KnowsOtherFeatures(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.node_mask = torch.ones(len(one.n_id), 3)
        return found


class LeavesOtherGradients(Fine):
    """Behind the same outputs."""

    def explain(self, model: Any, *arguments: Any) -> list[Explanation]:
        found, forward = super().explain(model, *arguments), model.forward

        @functools.wraps(forward)
        def other(*given: Any, **named: Any) -> torch.Tensor:
            output = forward(*given, **named)
            return output.detach() + 0 * output

        model.forward = other
        return found


class TakesAnotherName(Fine):
    """And with it the other's cell."""

    def supports(self, *arguments: Any) -> bool:
        self.name = "saliency"
        return super().supports(*arguments)


class MovesAway(Fine):
    """To another folder, where nobody may read what it writes."""

    def attribute(self, problem: Problem) -> Attribution:
        os.chdir("/")
        os.umask(0o777)
        return super().attribute(problem)


class StopsItself(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        os.kill(os.getpid(), signal.SIGSTOP)
        return super().attribute(problem)


class WholeNumbers(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.edge_mask = one.edge_mask.long()
        return found


class ComplexNumbers(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.node_mask = one.node_mask.to(torch.complex64)
        return found


class HalfNumbers(Fine):
    """Sound, if unusual: a mask of a type of its own."""

    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.edge_mask, one.node_mask = one.edge_mask.half(), one.node_mask.double()
        return found


class ShortNumbers(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.e_id = one.e_id.int()
        return found


class OtherPrediction(Fine):
    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.prediction = -one.prediction
            one.target = one.prediction.argmax()
        return found


class ReplacesEdges(Fine):
    def explain(self, model: torch.nn.Module, data: Any, *arguments: Any) -> list[Explanation]:
        found = super().explain(model, data, *arguments)
        data.edge_index = data.edge_index.flip(1)
        return found


class AddsWeights(Fine):
    def explain(self, model: torch.nn.Module, data: Any, *arguments: Any) -> list[Explanation]:
        found = super().explain(model, data, *arguments)
        data.edge_weight = torch.full((data.num_edges,), 0.5)
        return found


class LeavesHooks(Fine):
    def explain(self, model: torch.nn.Module, *arguments: Any) -> list[Explanation]:
        found = super().explain(model, *arguments)
        model.register_forward_hook(lambda *given: given[-1] * 2)
        return found


class PatchesModel(Fine):
    def explain(self, model: Any, *arguments: Any) -> list[Explanation]:
        found = super().explain(model, *arguments)
        model.forward = lambda x, edge_index, **_: torch.zeros(len(x), 4)
        return found


class Trains(Fine):
    def explain(self, model: torch.nn.Module, *arguments: Any) -> list[Explanation]:
        found = super().explain(model, *arguments)
        model.train()
        return found


class DrawsNumbers(Fine):
    """Sound: others draw from generators of their own."""

    def attribute(self, problem: Problem) -> Attribution:
        torch.manual_seed(int(torch.rand(1000)[0] * 1000))
        random.seed(7)
        np.random.seed(7)  # noqa: NPY002
        return super().attribute(problem)


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


class FractionOfAClass(Fine):
    """Which ``int`` would cut to the one that was asked for."""

    def explain(self, *arguments: Any) -> list[Explanation]:
        found = super().explain(*arguments)
        for one in found:
            one.target = one.target + 0.7
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


def poisons() -> list[Callable[[], object]]:
    """What leaves a process in a state in which nobody else's numbers are right."""

    def patch(owner: Any, name: str, value: Any) -> Callable[[], None]:
        return lambda: setattr(owner, name, value)

    hook = torch.nn.modules.module.register_module_forward_hook
    zeros = lambda tensor, *_, **__: torch.zeros_like(tensor)  # noqa: E731
    return [
        lambda: hook(lambda *given: given[-1] * 3),
        patch(torch.nn.Module, "eval", lambda module: module.train(True)),
        patch(torch.Tensor, "softmax", zeros),
        patch(torch, "relu", zeros),
        patch(torch.autograd, "grad", lambda *_, **__: (torch.zeros(1),)),
        patch(explainers.metrics, "evaluate", lambda *_, **__: []),
        patch(Method, "explain", lambda *_, **__: []),
        patch(np, "mean", lambda *_, **__: 0.0),
        patch(builtins, "sorted", lambda found, **_: list(found)),
        patch(time, "perf_counter", lambda: 0.0),
        lambda: sys.modules.pop("torch_geometric.utils"),
        lambda: warnings.simplefilter("error"),
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_device("meta"),
        lambda: torch.set_num_threads(7),
        lambda: torch.manual_seed(1),
        lambda: torch.set_grad_enabled(False),
        lambda: torch.use_deterministic_algorithms(True),
        lambda: torch.autograd.set_detect_anomaly(True),
        lambda: torch.set_printoptions(precision=1),
        lambda: os.environ.update(GNN_BENCH_DATA="/nowhere", OMP_NUM_THREADS="3"),
        lambda: os.chdir("/"),
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: sys.setrecursionlimit(150),
        lambda: sys.setprofile(lambda *_: None),
        gc.disable,
        sys.stdout.close,
    ]


class Poisons(Fine):
    """Does all of these."""

    def attribute(self, problem: Problem) -> Attribution:
        found = super().attribute(problem)
        for poison in poisons():
            poison()
        return found


class WritesNoMore(Fine):
    """Neither its cell nor anything else."""

    def attribute(self, problem: Problem) -> Attribution:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        return super().attribute(problem)


class OpensNoMore(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        found = super().attribute(problem)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        return found


class ClosesEverything(Fine):
    def attribute(self, problem: Problem) -> Attribution:
        os.closerange(0, 4096)
        return super().attribute(problem)


class TellsTheSupervisor(Fine):
    """Writes into the pipe, whichever that is, what no child says."""

    def attribute(self, problem: Problem) -> Attribution:
        for descriptor in range(3, 60):
            with contextlib.suppress(OSError):
                os.write(descriptor, b'{"cell": 5, "test": 7}\nhello\n[]\n{"ended": "now"}\n')
        os._exit(3)


class ExitsLater(Fine):
    """By its own status, after all is done."""

    def attribute(self, problem: Problem) -> Attribution:
        atexit.register(os._exit, 7)
        return super().attribute(problem)


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
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
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
