"""Named sets of options: the runs that are published, so that one word repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WHITE_BOX = tuple(f"white-box-{head}:gated" for head in ("count", "or", "and", "inhibit"))
TASKS = (
    *("twitch-en", "cora", "mutag", "benzene", "fluoride-carbonyl"),
    *WHITE_BOX,
    *("label-propagation-cora", "ba-shapes", "tree-cycles"),
)


@dataclass(frozen=True)
class Preset:
    """What a run measures, unless an option says otherwise.

    Attributes:
        asks: What the run answers.
        benchmarks: Which benchmarks take part: ``quality`` is ``benchmarks/test_quality.py``.
        options: By the names of the plan's fields (:class:`benchmarks.harness.options.Plan`).
    """

    asks: str
    benchmarks: tuple[str, ...]
    options: Mapping[str, Any]


PRESETS = {
    "quality": Preset(
        asks="which explanations are good, on graphs, molecules and provable ground truths",
        benchmarks=("quality", "counterfactual"),
        options={"profile": "full", "tasks": TASKS, "nodes": 100, "seeds": 5},
    ),
    "reliability": Preset(
        asks="whether explanations are stable, agree, keep the axioms and depend on what the model "
        "has learned, and whether the order of the methods holds under other conventions",
        benchmarks=("agreement", "axioms", "randomisation", "explained_output", "f_fidelity"),
        options={"profile": "full", "tasks": TASKS, "nodes": 60, "seeds": 3},
    ),
    "architectures": Preset(
        asks="whether the order of the methods depends on the kind of network",
        benchmarks=("quality",),
        options={
            "profile": "full",
            "tasks": ("cora", "twitch-en"),
            "models": ("gcn", "sage", "gin", "gat"),
            "nodes": 30,
            "seeds": 3,
        },
    ),
    "cost": Preset(
        asks="what an explanation costs: engines, steps and batch sizes, and how it grows",
        benchmarks=("runtime", "ig_sweep", "engines", "scaling"),
        options={
            "profile": "full",
            "tasks": ("twitch-en", "ba-shapes"),
            "nodes": 30,
            "seeds": 3,
        },
    ),
    "engines": Preset(
        asks="how much faster the engines are than stock and than k-hop by hand, by task, network "
        "and depth",
        benchmarks=("engines",),
        options={
            "profile": "full",
            "tasks": ("twitch-en", "mutag", "ba-2motif"),
            "methods": ("integrated_gradients", "saliency", "gnn_explainer"),
            "models": ("gcn", "sage", "gin", "gcn3", "sage3", "gin3"),
            "nodes": 30,
            "seeds": 1,
        },
    ),
    "links": Preset(
        asks="which explanations of predicted links are good, and how much faster than stock and "
        "than k-hop by hand they are found",
        benchmarks=("quality", "engines"),
        options={
            "profile": "full",
            "tasks": ("cora-links", "twitch-en-links", "white-box-common-neighbours"),
            "methods": ("integrated_gradients", "saliency", "gnn_explainer"),
            "nodes": 20,
            "seeds": 2,
        },
    ),
    "hetero": Preset(
        asks="which explanations are good on a graph with several types of nodes and edges, and "
        "how much faster than stock and than k-hop by hand they are found",
        benchmarks=("quality", "edge_types", "engines"),
        options={
            "profile": "full",
            "tasks": ("hetero-motif",),
            "methods": ("integrated_gradients", "saliency", "input_x_gradient", "gnn_explainer"),
            "nodes": 20,
            "seeds": 1,
        },
    ),
    "learning": Preset(
        asks="methods that learn, at the library's defaults and tuned on other nodes and models",
        benchmarks=("tuning",),
        options={
            "profile": "full",
            "tasks": ("twitch-en", "cora", "mutag", "ba-shapes", "tree-cycles"),
            "nodes": 30,
            "seeds": 3,
        },
    ),
    "peers": Preset(
        asks="the explainers of other packages beside this library's, on the same predictions",
        benchmarks=("peers",),
        options={
            "profile": "full",
            "tasks": (
                *("twitch-en", "cora", "mutag", "ba-shapes", "tree-cycles"),
                "white-box-count:gated",
            ),
            "nodes": 10,
            "seeds": 2,
            "cell_timeout": 300.0,
            "together": True,  # a peer and ours take turns in one process anyway
        },
    ),
    "replication": Preset(
        asks="published numbers, measured again step by step as their authors did",
        benchmarks=("replication",),
        options={"profile": "full", "seeds": 5},
    ),
}


def with_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, with the preset's options where none were given."""
    known = PRESETS.get(given.get("preset") or "")
    # A count of 0 was given, and is refused later; an empty list or a switch that is off was not.
    said = {n: v for n, v in given.items() if v or type(v) in (int, float)}
    return {**(known.options if known else {}), **said}
