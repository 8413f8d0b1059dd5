"""The first screen: three sentences, forest plots, and what keeps a task from meaning much."""

import numpy as np
import pytest

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split, units
from benchmarks.report.figures.palette import Palette
from benchmarks.report.outline import compose
from benchmarks.report.render.blocks import Heading, Items, Picture, Text
from benchmarks.report.sections.first import asked, first, forest_data
from benchmarks.report.sections.sample import nodes_and_models

BASE = np.linspace(0.1, 0.5, 24)


def rows(metric, values, **more):
    given = enumerate(np.asarray(values).tolist())
    return [{"metric": metric, "node": node, "value": value, **more} for node, value in given]


@pytest.fixture
def told(folder):
    """The texts of all lists on the first screen: the three sentences, then the warnings."""

    def tell():
        sections = split(load(folder.path))
        names = sorted({name for one in sections for name in one.quality["label"].unique()})
        blocks = list(first(sections, Palette(names, ["stock"]), {}))
        assert sum(isinstance(block, Picture) for block in blocks) <= len(sections)
        return [text for block in blocks if isinstance(block, Items) for text in block.texts]

    return tell


def test_it_names_no_default_that_is_tied_with_random(folder, told):
    for name, gain in (("a", 0.003), ("b", 0.0), ("random", 0.001)):
        folder.quality(name, BASE + gain + 1e-4 * np.sin(np.arange(24)), level="f=20%")
    safe, best, cost = told()
    assert safe.startswith("Safe default: none can be named, the best is tied with the random")
    assert "no winner (tied with random) on karate" in best
    assert cost == "Cost: the time of one explanation on the default engine was not measured."


def test_with_too_few_nodes_it_says_so(folder, told):
    for name, gain in (("a", 0.4), ("random", 0.0)):
        folder.quality(name, BASE[:3] + gain, level="f=20%")
    safe, best, _ = told()
    assert safe == "Safe default: none can be named, there are too few nodes."
    assert "too few nodes on karate" in best


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (("edge",), "links"),
        (("graph",), "graphs"),
        (("node", "edge"), "nodes or links"),
    ],
)
def test_what_is_explained_has_its_own_word(folder, settings, levels, words):
    """In the counts, the captions and the sentences; a page has no other one."""
    tasks = [{"name": f"task-{level}", "task_level": level} for level in levels]
    folder.manifest(tasks=tasks)
    for level in levels:
        for name, gain in (("a", 0.4), ("random", 0.0)):
            rows = [
                {"node": n, "metric": "fidelity+_prob", "level": "f=20%", "semantics": "mask"}
                | {"selection": "signed", "value": float(value + gain)}
                for n, value in enumerate(BASE[:3])
            ]
            folder.add("quality", settings(name, task=f"task-{level}"), quality=rows)
    sections = split(load(folder.path))
    blocks = list(first(sections, Palette(["a", "random"], ["stock"]), {}))
    said = [text for block in blocks if isinstance(block, Items) for text in block.texts]
    texts = [block.text for block in blocks if isinstance(block, Text)]
    assert f"3 {words} × 1 model" in texts[0]
    assert said[0] == f"Safe default: none can be named, there are too few {words}."
    assert any(f"intervals over {words} and models" in text for text in texts)
    for level, picture in zip(
        sorted(levels), [block for block in blocks if isinstance(block, Picture)], strict=True
    ):
        own = {"edge": "link"}.get(level, level)
        assert f"3 {own}s × 1 model" in picture.caption
        assert f"too few {own}s on task-{level}" in said[1]
    if "node" not in levels:
        assert not any("node" in text for text in [*said, *texts])
    assert nodes_and_models(sections) == f"3 {words} × 1 model"
    assert units(sections) == words


def test_of_two_safe_methods_the_faster_one_is_named_first(folder, settings, told):
    for name, gain in (("a", 0.3), ("b", 0.3), ("random", 0.0)):
        folder.quality(name, BASE + gain + 1e-3 * np.sin(np.arange(24)) * (name == "a"))
    for name, time in (("a", 0.2), ("b", 0.1)):
        for repeat in range(3):
            row = {"repeat": repeat, "node": repeat, "nodes": 1, "seconds": time}
            folder.add("runtime", settings(name), part={"repeat": repeat}, runtime=[row])
    safe, best, cost = told()
    assert safe.startswith("Safe default: b, best or tied with the best in the only comparison")
    assert "so is a, of which b is the fastest" in safe
    assert "(2-way tie)" in best
    assert cost == (
        "Cost on this machine: one explanation with b takes 100 ms on karate (engine stock)."
    )


def test_the_next_best_are_named_and_of_how_many_comparisons(folder, settings, told):
    wave = 1e-3 * np.sin(np.arange(24))
    gains = {
        "t0": {"a": 0.3, "b": 0.3, "c": 0.1, "random": 0.0},  # b is tied with a
        "t1": {"a": 0.3, "b": 0.2, "c": 0.1, "random": 0.0},
        "t2": {"a": 0.3, "d": 0.3, "degree": 0.2, "random": 0.0},  # b and c are not in it
        "t3": {"b": 0.0, "random": 0.0},  # names none
    }
    for task, known in gains.items():
        for name, gain in known.items():
            values = BASE + gain + wave * (name in "bd")
            quality = rows("fidelity+_prob", values, level="f=20%", semantics="mask")
            folder.add("quality", settings(name, task=task), quality=quality)
    safe, best, *_ = told()
    assert safe == (
        "Safe default: a, best or tied with the best in 3 of the 3 comparisons that name a best "
        "method (fidelity+ and fidelity- of each task). Next: b and d, in 1 of the 1 to 2 that "
        "they are in; these counts are not tested. 1 more comparison names none."
    )
    assert "on t1 a, 0.600 [0.548, 0.652], significantly better than the 2 other methods" in best


def test_without_times_the_engines_say_what_they_gain(folder, settings, told):
    for name, gain in (("saliency", 0.3), ("random", 0.0)):
        folder.quality(name, BASE + gain, level="f=20%")
    for engine, time in (("stock", 8.0), ("k-hop by hand", 4.0), ("batched", 2.0)):
        row = {"repeat": 0, "node": 0, "nodes": 1, "seconds": time}
        for name in ("gnn_explainer", "saliency"):  # of the best method alone it is said
            folder.add("engines", settings(name, engine), runtime=[row])
    _, best, cost, engines = told()
    assert best.endswith("on karate saliency, 0.600 [0.548, 0.652].")  # there is no other
    assert cost.startswith("Cost: the time of one explanation on the default engine was not")
    assert engines.startswith("saliency, one explanation a call on the fastest engine: 4× as fast")


def test_a_safe_default_whose_time_is_unknown_is_not_passed_over(folder, settings, told):
    for name, gain in (("a", 0.3), ("b", 0.1), ("random", 0.0)):
        folder.quality(name, BASE + gain)
    row = {"repeat": 0, "node": 0, "nodes": 1, "seconds": 0.1}
    folder.add("runtime", settings("b"), part={"repeat": 0}, runtime=[row])
    safe, _, cost = told()
    assert safe.startswith("Safe default: a, ")
    assert cost == (
        "Cost on this machine: the time of a was not measured; "
        "one explanation with b takes 100 ms on karate (engine stock)."
    )


def test_a_baseline_that_solves_a_task_is_named(folder, told):
    for name, gain in (("a", -0.04), ("degree", 0.0), ("random", -0.5)):
        folder.quality(name, np.full(24, 1.0) + gain, metric="auroc", level="", semantics="")
    (*_, warning) = told()
    assert warning == (
        "On karate, degree, which does not look at the model, is best in finding the ground truth: "
        "AUROC 1.000."
    )


def test_equal_methods_share_a_row_and_the_best_is_first(folder):
    rng = np.random.default_rng(0)
    same = BASE + 0.3
    for name, values in (("c", BASE + rng.normal(0, 0.01, 24)), ("b", same), ("a", same)):
        for metric in ("fidelity+_prob", "fidelity-_prob"):
            folder.quality(name, values, metric=metric, level="f=20%")
    (section,) = split(load(folder.path))
    data = forest_data(section)
    assert list(data["method"]) == ["a = b", "c"] * 2
    assert list(data["metric"].unique()) == ["fidelity+ (prob)", "fidelity- (prob)"]
    assert data["mean"][0] == pytest.approx(same.mean())


def test_tasks_of_replication_alone_are_not_what_a_run_asked(folder, settings):
    for name, gain in (("a", 0.3), ("random", 0.0)):
        folder.quality(name, BASE + gain, level="f=20%")
    value = [{"metric": "auroc", "value": 0.9}]
    folder.add("calibration", settings(task="cora:graphframex"), quality=value)
    results = load(folder.path)
    assert asked(results) == "karate: quality, replication"
    blocks = list(first(split(results), Palette(["a", "random"], ["stock"]), {}))
    texts = [block.text for block in blocks if isinstance(block, Text)]
    assert "Measured on 1 task, 24 nodes × 1 model" in texts[0]
    assert "time of one explanation" not in texts[-1]  # nothing was timed
    folder.add("runtime", settings("a"), runtime=[{"repeat": 0, "node": 0, "seconds": 1.0}])
    blocks = list(first(split(load(folder.path)), Palette(["a", "random"], ["stock"]), {}))
    texts = [block.text for block in blocks if isinstance(block, Text)]
    assert "at the right the time of one explanation" in texts[-1]


def test_of_many_tasks_four_are_in_front_and_the_others_in_their_parts(folder, settings):
    tasks = [f"t{i}" for i in range(7)]
    for task in tasks:
        for name, gain in (("a", 0.3), ("b", 0.3), ("random", 0.0)):
            if task == "t0" and name != "random":
                gain = 0.001  # no winner: it is not in front
            values = BASE + gain + 1e-3 * np.sin(np.arange(24)) * (name == "a")
            quality = rows("fidelity+_prob", values, level="f=20%", semantics="mask")
            folder.add("quality", settings(name, task=task), quality=quality)
    folder.manifest(tasks=[{"name": task} for task in ("t0", "t6", "t1")])
    blocks = compose(load(folder.path))
    part = ""
    found = {}
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            part = block.anchor
            assert block.detailed == part.startswith("task-")
        elif isinstance(block, Picture) and block.name.startswith("forest-"):
            found.setdefault(part, []).append(block.name.removeprefix("forest-").split("-")[0])
    others = {f"task-{one.slug}": [one.task] for one in split(load(folder.path))}
    in_front = ["t6", "t1", "t2", "t3"]  # as the run began; t0 has no winner
    assert found == {"": in_front} | {k: v for k, v in others.items() if v[0] not in in_front}
    said = [text for block in blocks if isinstance(block, Items) for text in block.texts]
    assert said[1] == (
        "Best in fidelity+ at 20 % of the edges, by absolute score: ties of 2 methods on t1, "
        "t2, t3, t4, t5 and t6; no winner (tied with random) on t0."
    )
    of_task = [text for text in said if text.startswith("On t5, ")]
    assert any("(2-way tie)" in text for text in of_task)
    headings = [block.text for block in blocks if isinstance(block, Heading) and block.level == 3]
    assert "t5" not in headings  # its sentences are in its part


def test_the_same_caution_is_said_once(folder, settings, told):
    for task in ("t0", "t1"):
        for name, gain in (("a", -0.04), ("degree", 0.0), ("random", -0.5)):
            quality = rows("auroc", np.full(24, 1.0) + gain)
            folder.add("quality", settings(name, task=task), quality=quality)
    (*_, warning) = told()
    assert warning.startswith("On t0 and t1, degree, which does not look at the model, is best")


def test_a_model_that_learned_nothing_is_told(folder, told):
    entry = {"name": "karate", "model": "gcn", "accuracy": 0.5, "most_frequent": 0.5}
    better = entry | {"model_seed": 1, "accuracy": 0.51}
    folder.manifest(tasks=[entry, better])
    for name, gain in (("a", 0.2), ("random", 0.0)):
        folder.quality(name, BASE + gain, level="f=20%")
    (*_, warning) = told()
    assert warning.startswith("On karate, a model is no more accurate than predicting the most")


def test_what_is_left_out_for_a_method_without_values_is_told(folder, settings, told):
    for name, models in (("a", 3), ("zorro", 2), ("random", 3)):
        for seed in range(models):
            scores = BASE + (name == "a") * 0.2
            quality = rows("fidelity+_prob", scores, level="f=20%", semantics="mask")
            folder.add("quality", settings(name, seed=seed), quality=quality)
    (*_, warning) = told()
    assert warning == (
        "On karate, 48 of 72 nodes × models are compared: on the others zorro has no values."
    )


def test_a_best_method_without_the_random_baseline_is_doubted(folder, told):
    for name, gain in (("a", 0.2), ("b", 0.0)):
        folder.quality(name, BASE + gain, level="f=20%")
    (*_, warning) = told()
    assert warning == (
        "On karate, the random baseline was not scored: whether the best is better than random is "
        "not known."
    )
