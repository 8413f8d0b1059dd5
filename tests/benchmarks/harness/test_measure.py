"""Clock, memory and failures."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.harness import measure
from benchmarks.harness.measure import attempt, memory_limit, peak_memory, timer
from benchmarks.store.atomic import umask
from explainers.engines.memory import is_out_of_memory

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")


def test_timer_is_a_clock_in_seconds():
    before = timer()
    torch.ones(10).sum()
    assert 0 < timer() - before < 10


@linux
@pytest.mark.parametrize("size", [16, 64])
def test_peak_memory_of_tensors(size):
    def work():
        first = torch.ones(size * MIB // 4)
        second = first + 1
        return float(second[0])

    work()
    assert peak_memory(work) == pytest.approx(2 * size * MIB, abs=2 * MIB)
    # What the first call freed is not what the second one is served from.
    assert peak_memory(work) == pytest.approx(2 * size * MIB, abs=2 * MIB)


@linux
def test_peak_memory_sees_more_than_torch():
    assert peak_memory(lambda: np.ones(32 * MIB // 8)) == pytest.approx(32 * MIB, abs=2 * MIB)


@linux
def test_peak_memory_of_a_backward_pass_with_all_threads():
    x = torch.randn(4000, 256, requires_grad=True)
    weight = torch.randn(256, 256)

    def work():
        torch.autograd.grad((x @ weight).relu().sum(), x)

    work()
    assert peak_memory(work) >= 2 * 4000 * 256 * 4  # the product and its ReLU, at least


@linux
def test_peak_memory_of_nothing():
    assert peak_memory(lambda: None) < MIB


def test_peak_memory_where_the_system_cannot_tell(monkeypatch):
    monkeypatch.setattr(measure, "_reset_peak_resident", lambda: False)
    calls = []
    assert peak_memory(lambda: calls.append(1)) is None
    assert calls == [1]


@pytest.mark.cuda
def test_peak_memory_on_a_gpu():
    kept = torch.ones(MIB, device="cuda")

    def work():
        return float((torch.ones(8 * MIB, device="cuda") + 1).sum())

    work()
    assert peak_memory(work, "cuda") == pytest.approx(64 * MIB, abs=2 * MIB)
    del kept


def test_peak_memory_lets_errors_through():
    with pytest.raises(ZeroDivisionError):
        peak_memory(lambda: 1 / 0)


def test_streams_folder_and_rights_are_put_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    streams, rights = (sys.stdout, sys.stderr), umask()
    with pytest.raises(ValueError), measure.own_streams():  # noqa: PT012
        sys.stdout.close()
        os.chdir("/")
        os.umask(0o777)
        raise ValueError
    assert ((sys.stdout, sys.stderr), Path.cwd(), umask()) == (streams, tmp_path, rights)


def test_attempt_that_succeeds():
    with attempt() as outcome:
        pass
    assert (outcome.status, outcome.message, outcome.error) == ("ok", "", None)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_attempt_that_runs_out_of_memory(error):
    with attempt() as outcome:
        raise error
    assert outcome.status == "oom"
    assert outcome.message.startswith(type(error).__name__)
    assert outcome.error is error


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("shapes differ"), KeyError("x")]
)
def test_attempt_that_fails(error):
    with attempt() as outcome:
        raise error
    assert outcome.status == "error"
    assert not is_out_of_memory(error)


def test_message_is_one_short_line():
    with attempt() as outcome:
        raise ValueError("first\n  second " + "x" * 1000)
    assert outcome.message.startswith("ValueError: first second x")
    assert len(outcome.message) == measure.MESSAGE_LENGTH


def test_of_a_long_message_only_the_beginning_is_read(monkeypatch):
    class Text(str):
        __slots__ = ()

        def __getitem__(self, key):
            raise AssertionError

    class Own(ValueError):
        def __str__(self):
            return Text("first\n" * 10**6)

    read = []
    shown = measure.printable
    monkeypatch.setattr(measure, "printable", lambda text: [read.append(len(text)), shown(text)][1])
    for error in (Own(), ValueError("first\n" * 10**6), KeyError(Own())):
        assert measure.one_line(error).startswith(type(error).__name__)
        assert len(measure.one_line(error)) <= measure.MESSAGE_LENGTH
    assert max(read) < 2 * measure.TEXT_LENGTH


@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_message_that_cannot_be_read(raised):
    class Own(RuntimeError):
        def __str__(self):
            raise raised

    with attempt() as outcome:
        raise Own
    assert outcome.status == "error"
    assert outcome.message == "Own: (its message cannot be printed)"


def test_an_error_is_long_by_those_that_led_to_it_too():
    long = ValueError("x" * 10**6)
    noted, led, grouped = ValueError(), ValueError(), ExceptionGroup("some", [KeyError(), long])
    noted.add_note("x" * 10**6)
    led.__cause__ = KeyError()
    led.__cause__.__context__ = long
    assert all(map(measure.is_long, (long, noted, led, grouped)))
    led.__cause__.__context__ = led  # round and round
    assert not measure.is_long(led)


def test_attempt_never_swallows_an_interrupt_of_the_user(monkeypatch):
    monkeypatch.setattr(measure.interrupts, "received", lambda: True)
    with pytest.raises(KeyboardInterrupt), attempt():
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), pytest.skip.Exception("s")])
def test_what_would_end_the_process_or_the_test_is_told(error):
    with attempt() as outcome:
        raise error
    assert isinstance(outcome.error, measure.Raised)
    assert outcome.status == "error"
    assert outcome.message.startswith(type(error).__name__)


@linux
def test_running_out_of_memory_lets_go_of_it():
    class Big:
        pass

    import weakref

    def work():
        big = Big()
        references.append(weakref.ref(big))
        raise MemoryError

    references = []
    with attempt() as outcome:
        work()
    assert outcome.error is not None
    assert references[0]() is None


@linux
def test_memory_limit_turns_the_kill_into_a_result(monkeypatch):
    monkeypatch.setattr(measure, "available_memory", lambda: 64 * MIB)
    with memory_limit("cpu"), attempt() as outcome:
        torch.ones(256 * MIB)
    assert outcome.status == "oom"
    assert "can't allocate memory" in outcome.message
    with memory_limit("cpu"), attempt() as outcome:
        np.ones(128 * MIB)
    assert outcome.status == "oom"
    torch.ones(64 * MIB)  # lifted again


@linux
def test_memory_limit_does_not_loosen_a_tighter_one(monkeypatch):
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(measure, "available_memory", lambda: 64 * MIB)
    with memory_limit("cpu"):
        tight = resource.getrlimit(resource.RLIMIT_DATA)
        monkeypatch.setattr(measure, "available_memory", lambda: 640 * MIB)
        with memory_limit("cpu"):
            assert resource.getrlimit(resource.RLIMIT_DATA) == tight
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_available_memory_is_what_there_is():
    assert 0 < measure.available_memory() < 2**50
