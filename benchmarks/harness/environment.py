"""On what the numbers were taken: code, versions, machine, settings. Goes into ``manifest.json``.

Everything here works without git and without a GPU; what cannot be known is None.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import math
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.tasks import Task

SCHEMA = 1
ROOT = Path(__file__).resolve().parents[2]

# The packages whose version can change a number.
PACKAGES = ("captum", "networkx", "numpy", "scipy", "torch", "torch_geometric")
# ... and those that only measure and draw.
TOOLS = ("gnn-explainer-bench", "matplotlib", "pandas", "pytest", "pytest-benchmark", "seaborn")
# The code behind a number; any change there makes finished cells out of date.
MAKE_NUMBERS = (
    "explainers/**/*.py",
    "benchmarks/test_*.py",
    "benchmarks/measures/**/*.py",
    "benchmarks/replication/protocols.py",
    "benchmarks/harness/*.py",
)
# ... less what draws, or runs, watches and describes the measuring (the machine and the versions
# are in a cell's key themselves).
MAKE_NO_NUMBERS = (
    "explainers/_names.py",
    "explainers/_script.py",
    "explainers/drawing/**/*.py",
    *(
        f"benchmarks/harness/{name}.py"
        for name in (
            *("cell_files", "cluster", "environment", "errors", "interrupts", "lock", "manifest"),
            *("option", "plugin", "presets", "progress", "supervisor"),
        )
    ),
)
ENTRY_POINT_GROUPS = ("gnn_explainer_bench.methods", "gnn_explainer_bench.metrics")


# Operations that the engines and PyG use and that sum in another order with every call on a GPU, so
# that results differ in their last digits (torch.use_deterministic_algorithms lists them; for CSR
# products: cuSPARSE). On a CPU the same seed gives the same numbers, bit for bit.
NOT_DETERMINISTIC_ON_CUDA = (
    "index_add_ (sums over computation graphs; backward of index_select)",
    "scatter_add_ (PyG's aggregation; backward of gather)",
    "index_put_ with accumulate (backward of indexing)",
    "cumsum (sums over the steps of a path)",
    "products with sparse CSR matrices",
)


def commit(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """The commit that is checked out, and whether the tree differs from it; None without git.

    Changes under ``results/`` do not count: a run into a folder there is not a change of the code.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    # An unpacked archive within someone else's repository is none of that repository's commits.
    if top is None or Path(top).resolve() != root.resolve():
        return None, None
    changes = _git(root, "status", "--porcelain", "--", ".", ":(exclude)results")
    return _git(root, "rev-parse", "--verify", "HEAD"), None if changes is None else bool(changes)


def versions() -> dict[str, str]:
    """Versions of the packages that can change a number.

    Those that add methods, and what these ask for themselves, included.
    """
    names = {*PACKAGES}
    for group in ENTRY_POINT_GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            if point.dist is not None:
                names.add(point.dist.name)
                names |= {re.split(r"[^\w.-]", one)[0] for one in point.dist.requires or ()}
    return _versions(names)


@functools.cache
def source_sha256(root: Path = ROOT) -> str:
    """SHA-256 over the code that makes the numbers: library, benchmarks, measures, harness.

    A module that is new there counts, unless ``MAKE_NO_NUMBERS`` names it. Not the report's code,
    which only reads the numbers, and not the tasks', whose results (dataset and checkpoint) have
    checksums of their own.
    """
    digest = hashlib.sha256()
    files = {path for pattern in MAKE_NUMBERS for path in root.glob(pattern)}
    files -= {path for pattern in MAKE_NO_NUMBERS for path in root.glob(pattern)}
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def method_sha256(name: str) -> str | None:
    """SHA-256 over the code of a method of another package; None for one of this package's own.

    Of a package all its files count, of a module that stands alone the module, and of either what
    its distribution lists: a method may lean on a module beside it, or on weights.
    """
    import importlib.util

    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUPS[0], name=name)
    digest = hashlib.sha256()
    for point in points:
        top = importlib.util.find_spec(point.module.partition(".")[0])
        folders = list(top.submodule_search_locations or ()) if top else []
        files = {path for folder in folders for path in Path(folder).rglob("*")}
        if not files and top and top.origin:
            files = {Path(top.origin)}
        if point.dist is not None:
            files |= {Path(str(path.locate())) for path in point.dist.files or ()}
        for path in sorted(files):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest() if points else None


def cpu() -> dict[str, Any]:
    """The processor: model, physical cores that this process may use, and torch's threads."""
    import psutil
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = min(psutil.cpu_count(logical=False) or usable or 1, usable or 1)
    return {"model": _cpu_model(), "cores": cores, "threads": torch.get_num_threads()}


def gpu() -> dict[str, Any] | None:
    """The first GPU that torch can use: name, driver, CUDA version, memory; or None."""
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "memory_bytes": properties.total_memory,
    }


def machine(device: str) -> dict[str, Any]:
    """What a time depends on, as part of a cell's key: processor, threads, GPU."""
    graphics = gpu() if device.startswith("cuda") else None
    described = cpu()
    return {
        "cpu": described["model"],
        "threads": described["threads"],
        "gpu": graphics["name"] if graphics else None,
    }


def torch_and_gpu() -> dict[str, Any]:
    """What pytest-benchmark does not say of the machine by itself."""
    return {"torch": versions().get("torch"), "torch_threads": cpu()["threads"], "gpu": gpu()}


def determinism() -> dict[str, Any]:
    """Torch's settings that decide whether and how exactly a number comes out again.

    ``not_deterministic`` lists the operations whose results vary in the last digits.
    """
    import torch

    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cublas_workspace_config": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": torch.get_float32_matmul_precision() != "highest",
        "not_deterministic": list(NOT_DETERMINISTIC_ON_CUDA) if gpu() else [],
    }


def describe(task: Task, model_seed: int) -> dict[str, Any]:
    """One entry of the manifest's ``tasks``."""
    y, classes, columns = task.labels, None, None
    if task.mode == "multiclass_classification":
        classes = int(y.max()) + 1
    else:
        columns = y.numel() // len(y)
    return {
        "name": task.name,
        "model": task.architecture,
        "layers": task.layers,
        "model_seed": model_seed,
        "accuracy": None if math.isnan(task.accuracy) else task.accuracy,
        "accuracy_kind": task.accuracy_kind,
        "most_frequent": task.most_frequent,
        "mode": task.mode,
        "task_level": task.level,
        "provenance": task.provenance,
        "dataset_sha256": task.dataset_sha256,
        "checkpoint_sha256": task.checkpoint_sha256,
        "stand_in": task.stand_in,
        "motif": task.motif,
        "nodes": int(task.data.num_nodes or 0),
        "edges": int(task.data.num_edges),
        "features": task.num_features,
        "classes": classes,
        "columns": columns,
        **({"node_type": task.node_type} if task.node_type is not None else {}),
    }


def manifest(
    *,
    command: str,
    profile: str,
    tasks: Sequence[dict[str, Any]] = (),
    methods: Sequence[dict[str, Any]] = (),
    metrics: Sequence[dict[str, Any]] = (),
    unavailable: Sequence[dict[str, str]] = (),
    git: tuple[str | None, bool | None] | None = None,
) -> dict[str, Any]:
    """The content of ``manifest.json``.

    Args:
        command: What was called; see :func:`public_command`.
        profile: ``quick`` or ``full``.
        tasks: Entries made by :func:`describe`.
        methods: ``name`` of each method, and what it says of itself (``Method.describe``).
        metrics: ``name`` of each value, and what its metric or measure says of it.
        unavailable: ``{"task", "message"}`` for each task that could not be had.
        git: The result of :func:`commit`, if it was taken at the run's start, as it should be.
    """
    revision, dirty = commit() if git is None else git
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": revision,
        "dirty": dirty,
        "profile": profile,
        "python": platform.python_version(),
        "versions": versions() | _versions(TOOLS),
        "platform": platform.platform(),
        "cpu": cpu(),
        "gpu": gpu(),
        "determinism": determinism(),
        "tasks": list(tasks),
        "methods": list(methods),
        "metrics": list(metrics),
        "unavailable": list(unavailable),
    }


def public_command(arguments: Iterable[str], root: Path = ROOT) -> str:
    """``pytest ...`` as it was called, fit for publishing: no absolute path of this machine.

    A path inside the checkout becomes relative to it; of any other only the last part is kept.
    """
    shown = []
    for argument in arguments:
        option, equals, value = argument.rpartition("=")
        path = Path(value)
        if path.is_absolute():
            inside = path.is_relative_to(root)
            value = path.relative_to(root).as_posix() if inside else f".../{path.name}"
        shown.append(f"{option}{equals}{value}")
    return shlex.join(["pytest", *shown])


def without_paths(text: str) -> str:
    """The text, fit for publishing: of each absolute path only the last part is kept."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/:;,'\"()]+/)+([^\s/:;,'\"()]*)", r".../\1", text)


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in sorted(names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None if there is no git, no repository or no such thing in it."""
    return _output(["git", "-C", str(root), *arguments])


@functools.cache
def _driver() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return (_output(query) or "").partition("\n")[0] or None


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
