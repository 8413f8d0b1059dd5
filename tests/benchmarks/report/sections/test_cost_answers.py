"""The first screen of a run that measured what explanations cost, and nothing else."""

import pytest

from benchmarks.report.data import runtimes
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.outline import compose
from benchmarks.report.render.blocks import Heading, Items, Picture, Text
from benchmarks.report.sections import cost_answers

METHODS = [
    {"name": "saliency", "engines": ["analytic", "batched", "stock"]},
    {"name": "integrated_gradients", "engines": ["analytic", "hoisted", "batched", "stock"]},
    {"name": "gnn_explainer", "engines": ["hoisted", "batched", "stock"]},
    {"name": "degree", "engines": ["batched"], "model_dependent": False},
]


@pytest.fixture
def timed(folder, settings):
    """The function that adds times: milliseconds, each of a node and repeat of its own."""
    folder.manifest(methods=METHODS, tasks=[])

    def add(method, engine, times, *, task="karate", options=None, **content):
        for repeat, time in enumerate(times):
            row = {"repeat": repeat, "node": repeat, "nodes": 1, "seconds": time / 1000}
            config = settings(method, engine, task, **(options or {}))
            given = {"runtime": [row], **content}
            folder.add("runtime", config, part={"repeat": repeat}, **given)

    return add


@pytest.fixture
def grown(folder, settings):
    """The function that adds times of the benchmark of scaling: milliseconds by the size."""

    def add(method, engine, varied, times):
        rows = [
            {"repeat": 0, "node": 0, "seconds": time / 1000, "varied": varied, "at": at}
            for at, time in times.items()
        ]
        config = settings(method, engine, "generated")
        folder.add("scaling", config, part={"varied": varied}, runtime=rows)

    return add


@pytest.fixture
def swept(folder, settings):
    """The function that adds a setting of the sweep on batched: milliseconds, each of a node."""

    def add(steps, batch, times, error, task="karate"):
        options = {"n_steps": steps, "internal_batch_size": batch}
        for repeat, time in enumerate(times):
            folder.add(
                "ig_sweep",
                settings("integrated_gradients", "batched", task, **options),
                part={"repeat": repeat},
                runtime=[{"repeat": repeat, "node": repeat, "seconds": time / 1000}],
                quality=[{"node": repeat, "metric": "relative_error", "value": error}],
            )

    return add


@pytest.fixture
def told(folder):
    """The sentences, and the whole report."""

    def tell():
        results = load(folder.path)
        sections = split(results)
        assert cost_answers.alone(sections)
        blocks = compose(results)
        lists = [block.texts for block in blocks if isinstance(block, Items)]
        assert lists[0] == cost_answers.answers(sections)
        assert not any(isinstance(block, Heading) and block.text == "Verdict" for block in blocks)
        return lists[0], blocks

    return tell


def test_the_range_is_over_the_default_engines_of_methods_that_look_at_the_model(timed, told):
    timed("saliency", "analytic", (1, 2, 4))
    timed("saliency", "batched", (0.5, 0.5, 0.5))  # faster, but nobody gets it unless they ask
    timed("saliency", "stock", (50, 50, 50))
    timed("gnn_explainer", "batched", (100, 300, 200))  # hoisted does not take the model
    timed("gnn_explainer", "stock", (20, 330, 100))  # faster in the mean, but who knows
    timed("degree", "batched", (0.1, 0.1, 0.1))
    said, blocks = told()
    assert said == [
        "Time of one explanation on this machine, median over the nodes, with the engine that runs "
        "by default: of 2 methods that look at the model 2 ms (saliency on analytic) to 200 ms "
        "(gnn_explainer on batched) on karate.",
        # The geometric mean of 2, 4 and 8.
        "Another engine was faster than the default on karate for 1 of 2 methods, most for "
        "saliency on batched: 4× [2×, 8×].",
    ]
    figure = next(block for block in blocks if isinstance(block, Picture))
    assert figure.name == "default-times-karate"
    assert figure.caption.endswith("by default; 3 nodes.")
    assert figure.csv.splitlines() == [
        "method,engine,seconds,fastest,slowest,nodes",
        "degree,batched,0.0001,0.0001,0.0001,3",
        "saliency,analytic,0.002,0.001,0.004,3",
        "gnn_explainer,batched,0.2,0.1,0.3,3",
    ]


def test_a_default_that_failed_or_is_not_known_is_not_replaced(folder, timed, told):
    timed("saliency", "analytic", (1, 1))
    timed("gnn_explainer", "hoisted", (1,), runtime=[], status="oom", message="out of memory")
    timed("gnn_explainer", "batched", (7,))
    _, blocks = told()
    figure = next(block for block in blocks if isinstance(block, Picture))
    assert list(figure.data["method"]) == ["saliency"]
    assert figure.caption.endswith("Not timed on it, or it is not known: gnn_explainer.")
    # Where graphs are classified, hoisted is not the first that is tried for every method.
    graphs = [{"name": "karate", "task_level": "graph"}]
    folder.manifest(methods=METHODS, tasks=graphs)
    (section,) = split(load(folder.path))
    assert runtimes.default_engine(section, "gnn_explainer") == ""
    assert runtimes.default_engine(section, "saliency") == "analytic"


def test_the_engine_that_quality_was_measured_on_is_the_default(folder, timed, settings):
    timed("saliency", "analytic", (1,))
    timed("saliency", "batched", (2,))
    value = [{"node": 0, "metric": "fidelity+_prob", "value": 0.1}]
    folder.add("quality", settings("saliency", "batched"), quality=value)
    (section,) = sections = split(load(folder.path))
    assert [one.engine for one in runtimes.defaults(section)] == ["batched"]
    assert not cost_answers.alone(sections)


def test_steps_are_advised_for_every_engine_and_a_batch_size_for_the_swept_one(timed, swept, told):
    timed("integrated_gradients", "hoisted", (3,), options={"n_steps": 50})
    for steps, error in ((10, 0.05), (50, 0.02), (100, 0.005), (200, 0.001)):
        swept(steps, 1, (steps, steps + 1), error)
    swept(100, 100, (20, 20), 0.005)
    said, blocks = told()
    assert said[1] == (
        "Integrated Gradients: leave internal_batch_size out on karate (engine hoisted), where it "
        "has no use. A median error below 1 %, relative to 1,000 steps, takes on any engine 100 "
        "steps on karate (the 50 that were timed: 2 %). On engine batched the cheapest n_steps and "
        "internal_batch_size for that error are 100 and 100 on karate (20 ms)."
    )
    texts = [block.text for block in blocks if isinstance(block, Text)]
    (part,) = (text for text in texts if "the cheapest setting" in text)
    assert part.startswith(
        "Leave the default, engine hoisted, with n_steps = 100 or more; on batched, the cheapest"
    )


def test_repeats_that_scatter_advise_no_batch_size(swept, told):
    swept(50, 5, (0.2, 4.0, 0.3, 35.8, 0.2), 0.001)
    swept(100, 5, (1.0, 1.1, 0.9, 1.0, 1.0), 0.0005)
    (said,), _ = told()
    assert said.startswith(
        "Integrated Gradients: A median error below 1 %, relative to 1,000 steps, takes on any "
        "engine 50 steps on karate. No batch size is recommended for engine batched on karate: "
        "the repeats of one "
    )
    assert said.endswith("Measure again on a quiet machine.")


def test_what_the_time_grows_with(grown, told):
    sizes = (1000, 10_000, 1_000_000)
    grown("saliency", "batched", "graph_nodes", dict(zip(sizes, (1, 9, 1.5), strict=True)))
    grown("saliency", "stock", "graph_nodes", {1000: 3, 100_000: 180})
    for method, last in (("saliency", 2.5), ("gnn_explainer", 8)):
        grown(method, "batched", "layers", {1: 1, 4: last})
    grown("integrated_gradients", "analytic", "layers", {1: 1, 2: 1.5})  # fewer layers than others
    grown("integrated_gradients", "batched", "degree", {3: 2, 100: 40})
    (said,), _ = told()
    assert said == (
        "How the time grows on generated graphs. Nodes in the graph, 1,000 to 1,000,000: hardly, "
        "at most 1.5×, but 60× up to 100,000 (saliency on stock). Mean degree, 3 to 100: 20× "
        "(integrated_gradients on batched). Layers of the network, 1 to 4: 2.5× (saliency on "
        "batched) to 8× (gnn_explainer on batched)."
    )


def test_engines_answer_for_themselves(folder, settings, timed, told):
    timed("saliency", "analytic", (1,))
    for engine, time in (("stock", 8.0), ("k-hop by hand", 4.0), ("analytic", 2.0)):
        row = {"repeat": 0, "node": 0, "nodes": 1, "seconds": time}
        folder.add("engines", settings("saliency", engine), runtime=[row])
    said, _ = told()
    assert said[1].startswith(
        "saliency, one explanation a call on the fastest engine: 4× as fast as Captum and PyG as "
        "published (stock) and 2× as fast as k-hop by hand"
    )


def test_many_tasks_are_one_range_with_four_figures_and_a_motif_is_no_caution(folder, timed, told):
    for number in range(6):
        timed("saliency", "analytic", (1 + number,), task=f"t{number}")
        timed("gnn_explainer", "batched", (10 + number,), task=f"t{number}")
    folder.manifest(methods=METHODS, tasks=[{"name": "t0", "motif": True}])
    (said,), blocks = told()
    assert said.endswith(
        "model 1 ms (saliency on analytic, t0) to 15 ms (gnn_explainer on batched, t5) on 6 tasks."
    )
    names = [block.name for block in blocks if isinstance(block, Picture)]
    assert [name for name in names if name.startswith("default-times-")] == [
        f"default-times-t{number}" for number in range(4)
    ]
    texts = [text for block in blocks if isinstance(block, Items) for text in block.texts]
    assert texts == [said]  # neither cautions nor sentences that repeat it
