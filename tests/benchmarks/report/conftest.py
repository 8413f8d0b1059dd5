"""Results folders made up of cells: whole ones that look like a run's, and small ones by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

import explainers.metrics
from benchmarks import measures
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.store.cell import Cell
from benchmarks.store.folder import write

LEVELS = [f"k={k}" for k in (1, 2, 5, 10, 20, 50)]
LEVELS += [f"f={f}%" for f in (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)]
EDGES = 340
STRENGTH = {
    "integrated_gradients": 0.30,
    "saliency": 0.22,
    "gnn_explainer": 0.12,
    "occlusion": 0.29,
    "random": 0.02,
}
SECONDS = {
    ("integrated_gradients", "stock"): 1.4,
    ("integrated_gradients", "batched"): 0.035,
    ("integrated_gradients", "analytic"): 0.0027,
    ("saliency", "stock"): 0.03,
    ("saliency", "batched"): 0.004,
    ("gnn_explainer", "stock"): 9.0,
    ("gnn_explainer", "batched"): 0.41,
    ("occlusion", "batched"): 0.12,
    ("random", "stock"): 0.0002,
}
MANIFEST = {
    "schema": 1,
    "created": "2026-01-02T03:04:05+00:00",
    "command": "pytest benchmarks/ --benchmark-only",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "profile": "quick",
    "python": "3.11.7",
    "versions": {"numpy": "2.4.6", "torch": "2.13.0"},
    "platform": "Linux-x86_64",
    "cpu": {"model": "Example CPU", "cores": 2, "threads": 2},
    "gpu": None,
    "determinism": {"tf32": False},
    "tasks": [
        {
            "name": "twitch-sim",
            "model_seed": seed,
            "accuracy": accuracy,
            "provenance": "generated with the statistics of Twitch EN",
            "dataset_sha256": "d" * 64,
            "checkpoint_sha256": "c" * 64,
            "stand_in": True,
            "nodes": 7126,
            "edges": 70648,
            "features": 128,
            "classes": 2,
        }
        for seed, accuracy in ((0, 0.70), (1, 0.72))
    ],
    "metrics": [*explainers.metrics.describe(), *measures.describe()],
    "unavailable": [{"task": "twitch-en", "message": "twitch-en: put EN.npz into data/"}],
}


def config(method="saliency", engine="stock", task="karate", seed=0, device="cpu", **options):
    return {
        "task": task,
        "model_seed": seed,
        "method": method,
        "engine": engine,
        "options": options,
        "device": device,
    }


class Folder:
    """A results folder that cells are added to."""

    def __init__(self, path):
        self.path = path
        (path / "cells").mkdir(parents=True)
        self.manifest()

    def manifest(self, **changes):
        (self.path / "manifest.json").write_text(json.dumps(MANIFEST | changes))

    def add(self, benchmark, settings, *, part=None, **content):
        write(self.path / "cells", Cell(benchmark, settings, {"part": part or {}}, **content))

    def quality(self, method, values, metric="fidelity+_prob", level="k=10", semantics="mask"):
        """A quality cell on karate: one value for each node."""
        rows = [
            {
                "node": node,
                "metric": metric,
                "level": level,
                "semantics": semantics,
                "value": value,
            }
            for node, value in enumerate(values)
        ]
        self.add("quality", config(method), part={"what": [metric, level, semantics]}, quality=rows)

    def read(self, name):
        return (self.path / name).read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """An empty results folder."""
    return Folder(tmp_path / "results")


@pytest.fixture
def settings():
    """The function that makes a cell's config."""
    return config


@pytest.fixture
def section(folder):
    """The function that gives the folder's only section."""

    def make():
        (found,) = split(load(folder.path))
        return found

    return make


@pytest.fixture(scope="session")
def full(tmp_path_factory):
    """A folder with all benchmarks: five methods, twelve nodes, two models, a sweep of 6 by 8."""
    folder = Folder(tmp_path_factory.mktemp("report") / "full")
    fill(folder)
    return folder


def fill(folder, task="twitch-sim", nodes=12, seeds=2):
    rng = np.random.default_rng(1)
    for seed in range(seeds):
        for method in STRENGTH:
            rows = [
                row for node in range(nodes) for row in quality_rows(rng, method, 100 + 7 * node)
            ]
            engine = "analytic" if method == "integrated_gradients" else "batched"
            engine = "stock" if method == "random" else engine
            folder.add("quality", config(method, engine, task, seed), quality=rows)
    for repeat in range(6):
        pace = rng.lognormal(0, 0.5)
        for (method, engine), seconds in SECONDS.items():
            rows = [
                {
                    "repeat": repeat,
                    "node": 100 + 7 * repeat,
                    "nodes": 1,
                    "seconds": seconds * pace * rng.lognormal(0, 0.08),
                    "peak_bytes": int(4e7 * rng.lognormal(0, 0.2)),
                    "status": "ok",
                }
                for _ in range(2)
            ]
            part = {"repeat": repeat}
            folder.add("runtime", config(method, engine, task), part=part, runtime=rows)
            if method == "integrated_gradients":
                add_engines(folder, task, engine, repeat, seconds * pace, rng)
    add_sweep(folder, task, rng)
    add_scaling(folder, task, rng)
    missing = config("", "", "twitch-en")
    folder.add("task", missing, status="unavailable", message="twitch-en: put EN.npz into data/")
    failed = config("guided_backprop", "stock", task)
    folder.add("quality", failed, status="error", message="RuntimeError: no | hook")


def quality_rows(rng, method, node):
    strength = max(0.0, STRENGTH[method] + rng.normal(0, 0.05))
    scores = {"gini": 0.3 + strength, "entropy": 0.9 - strength, "mass90": 0.6 - strength}
    if method == "integrated_gradients":
        scores["completeness"] = 2e-5 * rng.lognormal()
    rows = [{"node": node, "metric": name, "value": value} for name, value in scores.items()]
    for level in LEVELS:
        share = int(level[2:]) / EDGES if level.startswith("k") else int(level[2:-1]) / 100
        rows.append(
            {"node": node, "metric": "sparsity", "level": level, "value": 1 - share},
        )
        for semantics, scale in (("mask", 1.0), ("delete", 0.8)):
            plus = scale * 0.45 * (1 - np.exp(-share * 20 * strength)) + scale * 0.3 * strength
            minus = 0.4 * np.exp(-share * 14 * strength) * (1 - share)
            plus, minus = plus + rng.normal(0, 0.01), minus + rng.normal(0, 0.01)
            both = max(0.0, 2 * plus * (1 - minus) / max(1e-9, plus + 1 - minus))
            values = {
                "fidelity+_prob": plus,
                "fidelity-_prob": minus,
                "characterization_prob": both,
                "fidelity+_acc": float(plus > 0.2),
                "fidelity-_acc": float(minus > 0.3),
                "characterization_acc": float(plus > 0.2 and minus <= 0.3),
            }
            rows += [
                {
                    "node": node,
                    "metric": name,
                    "level": level,
                    "semantics": semantics,
                    "value": value,
                }
                for name, value in values.items()
            ]
    return rows


def add_engines(folder, task, engine, repeat, seconds, rng):
    part, node = {"repeat": repeat}, 100 + 7 * repeat
    row = {"repeat": repeat, "node": node, "nodes": 1, "seconds": seconds * rng.lognormal(0, 0.05)}
    error = {"node": node, "metric": "equality_error", "value": 2e-7 * rng.lognormal()}
    settings = config("integrated_gradients", engine, task)
    equality = [] if engine == "stock" else [error]
    folder.add("engines", settings, part=part, runtime=[row], quality=equality)
    if engine != "stock":
        bulk = row | {"nodes": 64, "seconds": 64 * seconds / 3}
        settings = config("integrated_gradients", engine, task, bulk=True)
        folder.add("engines", settings, part=part, runtime=[bulk])


def add_sweep(folder, task, rng):
    for steps in (10, 20, 50, 100, 200, 500):
        for batch in sorted({1, 2, 5, 10, 25, 50, 100, steps}):
            if batch > steps:
                continue
            settings = config(
                "integrated_gradients", "batched", task, n_steps=steps, internal_batch_size=batch
            )
            if batch > 200:
                message = "OutOfMemoryError: out of memory"
                folder.add("ig_sweep", settings, status="oom", message=message)
                continue
            seconds = steps * (0.002 / batch + 0.0004)
            runtime = [
                {
                    "repeat": 0,
                    "node": node,
                    "nodes": 1,
                    "seconds": seconds * rng.lognormal(0, 0.05),
                    "peak_bytes": int(2e6 * batch + 3e6),
                }
                for node in range(4)
            ]
            quality = [
                {"node": node, "metric": name, "value": value * rng.lognormal(0, 0.2)}
                for node in range(4)
                for name, value in (
                    ("convergence_delta", 0.3 / steps**1.5),
                    ("relative_error", 8 / steps**2),
                    ("rank_correlation", 1 - 1 / steps),
                )
            ]
            folder.add("ig_sweep", settings, runtime=runtime, quality=quality)


def add_scaling(folder, task, rng):
    axes = {"graph_nodes": (100, 1000, 10000, 100000), "degree": (2, 5, 10, 50), "layers": (2, 3)}
    for (method, engine), seconds in SECONDS.items():
        if method not in ("integrated_gradients", "gnn_explainer"):
            continue
        for varied, places in axes.items():
            rows = [
                {
                    "repeat": repeat,
                    "node": 1,
                    "nodes": 1,
                    "varied": varied,
                    "at": at,
                    "seconds": seconds * (at / 10) ** 0.7 * rng.lognormal(0, 0.1),
                    "peak_bytes": int(1e6 * at**0.8),
                }
                for at in places
                for repeat in range(3)
            ]
            folder.add("scaling", config(method, engine, task), part={"v": varied}, runtime=rows)
