"""``python -m benchmarks isolation``: what it costs that methods of others run apart."""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KINDS = {"apart": [], "together": ["--together"]}


def add_parser(commands: Any) -> None:
    """Adds the command ``isolation``."""
    parser = commands.add_parser(
        "isolation",
        help="measure what a process for each method of another package costs",
        description="Runs the quality benchmark on karate with methods that pass for another "
        "package's, each in a process of its own and all together (--together), in turn. Writes "
        "isolation.csv, a row each run, and isolation.json.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--methods", type=int, default=4, metavar="N", help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.set_defaults(command=isolation)


def isolation(options: argparse.Namespace) -> int:
    """Measures, writes and prints."""
    for name in ("methods", "repeats"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} {getattr(options, name)}: must be at least 1")
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    rows = measured(options.methods, options.repeats)
    with (options.out / "isolation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    found = summary(rows)
    from benchmarks.harness import environment

    found |= {
        "command": f"python -m benchmarks isolation --out {options.out.name} "
        f"--methods {options.methods} --repeats {options.repeats}",
        "commit": environment.commit()[0],
        "machine": environment.machine("cpu"),
        "versions": environment.versions(),
    }
    text = json.dumps(found, indent=1) + "\n"
    (options.out / "isolation.json").write_text(text, encoding="utf-8")
    for name in ("seconds", "cpu_seconds"):
        one = found[f"{name}_per_method"]
        print(f"{name} a method: {one['median']:.2f} [{one['min']:.2f}, {one['max']:.2f}]")
    return 0


def measured(methods: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each run: ``repeat``, ``kind``, ``methods``, ``seconds``, ``cpu_seconds``.

    The first turn fills the caches and is not kept. The kind that begins alternates.
    """
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        names = pass_for_foreign(place, methods)
        environment = {**os.environ, "PYTHONPATH": str(place), "GNN_BENCH_CACHE": str(place / "c")}
        for repeat in range(-1, repeats):
            for kind in sorted(KINDS, reverse=bool(repeat % 2)):
                folder = place / f"{kind}{repeat}"
                seconds = timed(folder, [*KINDS[kind]], names, environment)
                if repeat >= 0:
                    rows.append({"repeat": repeat, "kind": kind, "methods": methods, **seconds})
    return rows


def pass_for_foreign(place: Path, methods: int) -> list[str]:
    """Installs saliency under so many names as another package would; the names."""
    names = [f"foreign_{number}" for number in range(methods)]
    information = place / "foreign-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    lines = [f"{name} = explainers.methods.saliency:METHOD" for name in names]
    points = "\n".join(["[gnn_explainer_bench.methods]", *lines])
    (information / "entry_points.txt").write_text(points + "\n")
    return names


def timed(
    folder: Path, options: Sequence[str], methods: Sequence[str], environment: Mapping[str, str]
) -> dict[str, float]:
    """Wall-clock seconds of one run, and those of all its processes on the CPUs."""
    command = [sys.executable, "-m", "pytest", "benchmarks/test_quality.py", "--benchmark-only"]
    command += ["-q", "-p", "no:cacheprovider", "--task=karate", "--nodes=2", "--method=saliency"]
    command += [*options, *(f"--method={name}" for name in methods), f"--results={folder}"]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ValueError(f"the run failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each turn the difference of the two kinds over the number of methods: its spread."""
    found: dict[str, Any] = {"repeats": len(rows) // 2, "methods": rows[0]["methods"]}
    for name in ("seconds", "cpu_seconds"):
        by = {(row["repeat"], row["kind"]): row[name] for row in rows}
        turns = sorted({row["repeat"] for row in rows})
        costs = [(by[one, "apart"] - by[one, "together"]) / found["methods"] for one in turns]
        found[f"{name}_per_method"] = {
            "median": round(statistics.median(costs), 3),
            "min": round(min(costs), 3),
            "max": round(max(costs), 3),
        }
    return found
