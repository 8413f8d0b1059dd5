"""What all tests share: the devices, and that a test which needs a GPU never only seems to pass."""

from __future__ import annotations

import os

import hypothesis
import pytest

pytest_plugins = ["pytester"]

# How fast the machine is at the moment is no property of the code.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")


def pytest_sessionstart(session: pytest.Session) -> None:
    """An environment for the GPU (``GNN_BENCH_DEVICE=cuda``) fails without a working one."""
    # Tests start runs of the benchmarks, and pytest-benchmark measures nothing where this says that
    # it is in a worker of xdist's.
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    if os.environ.get("GNN_BENCH_DEVICE") == "cuda" and (problem := _gpu_problem()):
        pytest.exit(f"GNN_BENCH_DEVICE=cuda, but {problem}; nothing was tested", returncode=1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests marked ``cuda`` where there is no GPU, and says where they run."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked and (problem := _gpu_problem()):
        for item in marked:
            item.add_marker(
                pytest.mark.skip(reason=f"needs a GPU ({problem}); runs in tox -e py311-cuda")
            )


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    """``cpu``, and ``cuda`` where there is a GPU."""
    return request.param


def _gpu_problem() -> str | None:
    import torch

    if not torch.cuda.is_available():
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
        return "CUDA_VISIBLE_DEVICES hides it" if hidden else "torch finds no CUDA device"
    try:
        torch.ones(1, device="cuda").add_(1).cpu()
    except RuntimeError as error:
        return f"it does not work: {error}"
    return None
