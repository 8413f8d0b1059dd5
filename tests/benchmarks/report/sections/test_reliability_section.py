"""The first screen of a run about reliability: sentences counted by hand, and the figure."""

import pytest

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.figures.encode import encode
from benchmarks.report.figures.palette import Palette
from benchmarks.report.outline import compose, title
from benchmarks.report.render.blocks import Heading, Items, Picture, Text
from benchmarks.report.sections.first import first
from benchmarks.report.sections.reliability import alone, answers

ALL, OTHERS = "cascading, 2 of 2: convs.0", "trained with another seed"
REDRAWN = "same model, other draw"
BASELINES = [{"name": name, "model_dependent": False} for name in ("degree", "random")]


def rows(metric, values, **more):
    return [{"metric": metric, "node": n, "value": v, **more} for n, v in enumerate(values)]


@pytest.fixture
def add(folder, settings):
    """Adds a cell's rows of a method on a task."""
    folder.manifest(methods=BASELINES)

    def add(benchmark, method, quality, task="t0", seed=0, **options):
        config = settings(method, task=task, seed=seed, **options)
        folder.add(benchmark, config, quality=quality)

    return add


@pytest.fixture
def told(folder):
    def tell():
        return answers(split(load(folder.path)))

    return tell


def weights(new, trained):
    return rows("spearman", [new] * 2, other=ALL) + rows("spearman", [trained] * 2, other=OTHERS)


def test_scores_that_do_not_depend_on_the_weights_are_named(add, told):
    for task, values in (
        ("t0", {"a": (0.6, 0.5), "b": (0.1, 0.5), "c": (0.495, 0.5)}),
        ("t1", {"a": (0.5, 0.5), "b": (0.3, 0.9), "c": (0.2, 0.5)}),
    ):
        for name, pair in values.items():
            add("randomisation", name, weights(*pair), task)
        add("randomisation", "degree", weights(1.0, 1.0), task)
        add("randomisation", "random", weights(0.0, 0.0), task)
    redrawn = {"e": 0.305, "c": 0.51}  # the same model, once as unlike as one with new weights
    for name, (new, trained) in {"e": (0.3, 0.2), "c": (0.495, 0.5)}.items():
        quality = weights(new, trained) + rows("spearman", [redrawn[name]] * 2, other=REDRAWN)
        add("randomisation", name, quality, "t0")
    # Models that are not there to be compared with say nothing.
    add("randomisation", "a", rows("spearman", [0.9], other=ALL), "white-box")
    assert told() == [
        "Parameter randomisation: with all weights drawn anew, scores should be further from the "
        "trained model's than those of another trained model are. They are not for a (on 2 of 2 "
        "tasks) and c (1 of 2). They are on every task for b (median rank correlation 0.200, "
        "between trained models 0.700). Of e (on 1 of 1 task) this is not known: another draw of "
        "the method's random numbers changes the scores as much. The baseline degree, which does "
        "not look at the model, keeps its scores."
    ]


def test_where_all_scores_depend_on_the_weights_it_says_so(add, told):
    for name in "abcd":
        add("randomisation", name, weights(0.25, 0.5))
    assert told() == [
        "Parameter randomisation: with all weights drawn anew, scores should be further from the "
        "trained model's than those of another trained model are. They are for 4 methods (median "
        "rank correlation 0.250, between trained models 0.500)."
    ]


def test_the_most_and_least_stable_methods_and_those_tied_with_them(add, told):
    noise = [0.01, -0.01, 0.02, -0.02, 0.0, 0.0]
    moved = {"a": (0.1, 0.3), "b": (0.4, 0.3), "c": (2.0, 1.0), "d": (0.1, 0.3)}
    for place, (name, values) in enumerate(moved.items()):
        for task, value in zip(("t0", "t1"), values, strict=True):
            signs = [1, -1, 1, 1, -1, -1] if place % 2 else [1] * 6
            shift = [sign * one for sign, one in zip(signs, noise, strict=True)]
            quality = rows("max_sensitivity", [value + one for one in shift])
            if name in "bc":
                quality += rows("kendall_tau_seeds", [0.9 - value / 4 + one for one in shift])
            add("stability", name, quality, task)
    add("stability", "random", rows("max_sensitivity", [0.0] * 6))
    # On t0 a and d are first, on t1 b is tied with them. Medians of the tasks: 0.2 (a) to 1.5 (c).
    # By seeds: b 0.8 and 0.825, 0.0033 more by its shifts; c 0.4 and 0.65.
    assert told() == [
        "Stability under changes of the features by up to 2 % of their standard deviation, ties "
        "included: most stable a and d (on 2 of 2 tasks; 1 more on fewer); least c (on 2 of 2 "
        "tasks). Max-sensitivity, the relative change of the scores, is 0.2 to 1.5 over the "
        "methods, medians over the tasks.",
        "Stability under another seed of the method, ties included: most stable b (on 2 of 2 "
        "tasks); least c (on 2 of 2 tasks). Kendall's tau-b of the two rankings is 0.53 to 0.82 "
        "over the methods, medians over the tasks.",
    ]


def test_methods_that_give_the_same_ranking_are_named(add, told):
    for task, ab, ac, bc in (("t0", 1.0, 0.2, 0.4), ("t1", 0.994, 0.1, 0.3)):
        add("agreement", "b", rows("kendall_tau", [ab, ab], other="a"), task)
        quality = rows("kendall_tau", [ac], other="a") + rows("kendall_tau", [bc], other="b")
        add("agreement", "c", quality, task)
        add("agreement", "degree", rows("kendall_tau", [1.0], other="a"), task)
        for other, tau in (("a", 1.0), ("b", ab), ("c", ac)):
            add("agreement", "d", rows("kendall_tau", [tau], other=other), task, also=other)
    # Of (0.2, 0.2, 0.4, 1, 1, 1) and (0.1, 0.1, 0.3, 0.994, 0.994, 1): 0.7 and 0.647.
    assert told() == [
        "Agreement: Kendall's tau-b of two methods' rankings of the edges is 0.67 (0.65 to 0.7 "
        "over 2 tasks), the median of all pairs. The same ranking (tau-b 1.00) is that of a = d on "
        "all 2 tasks; a = d and b (on 1 of 2 tasks)."
    ]


def fidelities(own, masked):
    places = (
        ("f_fidelity+_prob", "", "delete", own),
        ("fidelity+_prob", "explained model", "mask", masked),
    )
    return [
        {"node": node, "metric": metric, "value": value, "level": "f=20%", "selection": "signed"}
        | {"other": other, "semantics": semantics}
        for node in range(3)
        for metric, other, semantics, value in places
    ]


def test_the_order_by_fidelity_under_other_conventions(add, told):
    """Four methods, two of them in another order: 1 - 6 * 2 / (4 * 15) = 0.8."""
    masked = {"a": 0.9, "b": 0.1, "c": 0.15, "d": 0.05}
    own = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
    for seed in (0, 1):  # on the second model, the two that change places by F-Fidelity are others
        for name in "abcd":
            ours = {"c": 0.1, "d": 0.2}.get(name, own[name]) if seed else own[name]
            add("f_fidelity", name, fidelities(ours, masked[name]), seed=seed)
    for form, values in (("raw", masked), ("log_probs", own), ("probs", own)):
        for name, value in values.items():
            quality = rows("fidelity+_prob", [value] * 3, level="f=20%", semantics="mask")
            add("explained_output", name, quality, explained_output=form)
    # Over both models, F-Fidelity has a 0.4, b 0.3, c and d 0.15: by ranks 3 / sqrt(4.5 * 5).
    assert told() == [
        "Order of the methods by fidelity+, baselines included (rank correlation): 0.63 with that "
        "by F-Fidelity+. Two models' orders by F-Fidelity+ have 0.8; they differ at least as much "
        "on 0 of 1 task. It is 0.8 if raw scores are explained in place of probabilities and 1 if "
        "log-probabilities are."
    ]


def test_axioms_that_are_broken_and_those_that_are_kept(add, told):
    for task in ("t0", "t1"):
        for name, missed, moved in (("a", 0.0, 1e-6), ("b", 0.2, 1e-6), ("c", 0.0, 0.4)):
            quality = rows("sensitivity_violations", [0.0, missed])
            quality += rows("invariance_split", [1e-7, moved if task == "t0" else 1e-7])
            add("axioms", name, quality, task)
        add("axioms", "degree", rows("sensitivity_violations", [1.0]), task)
    assert told() == [
        "Axioms: 1 of 3 methods (a) keeps sensitivity and implementation invariance on every task. "
        "A score of 0 for more than 1 % of the edges whose removal changes the output: b (on 2 of "
        "2 tasks). Scores that change by more than 1 % on a network that computes the same "
        "function: c (on 1 of 2 tasks)."
    ]


def test_the_first_screen_asks_and_draws_what_was_measured(folder, add):
    for task, new, trained in (("t0", 0.2, 0.5), ("t1", 0.4, 0.9), ("t2", 0.3, 0.6)):
        add("randomisation", "a", weights(new, trained), task)
        add("stability", "a", rows("max_sensitivity", [0.01, 0.03]), task)
    results = load(folder.path)
    sections = split(results)
    assert alone(sections)
    assert title(results) == "GNN explainers on t0, t1, t2: reliability, 2026-01-02"
    question, said, picture, sample = first(sections, Palette(["a"], []), {})
    assert sample.text == (
        "Explained of a task, at most: 2 nodes × 1 model (randomisation, stability)."
    )
    assert isinstance(said, Items)
    assert question.text.startswith("Can these explanations be relied on: ")
    assert question.text.endswith("Measured on 3 tasks, 2 nodes × 1 model, an unknown CPU.")
    weights_panel, moved = picture.figure.axes
    median = next(line for line in weights_panel.lines if line.get_markersize() == 7)
    assert median.get_xdata() == [0.3]
    across = next(line for line in weights_panel.lines if line.get_color() == "black")
    assert list(across.get_xdata()) == [0.6, 0.6]
    assert moved.get_xscale() == "log"
    assert picture.csv.splitlines()[:2] == [
        "task,method,all_weights_new,trained_with_another_seed,explainers_seeds,max_sensitivity",
        "t0,a,0.2,0.5,,0.02",
    ]
    encode(picture.figure)
    blocks = compose(results)
    assert not any(isinstance(block, Heading) and block.anchor == "verdict" for block in blocks)
    assert sum(isinstance(block, Picture) for block in blocks) == 1


def test_any_part_of_it_stands_by_itself(folder, add, settings):
    options = {"quadrature": "riemann", "n_steps": 50}
    folder.add(
        "completeness",
        settings("integrated_gradients", **options),
        quality=rows("completeness", [0.1]),
    )
    question, _ = first(split(load(folder.path)), Palette(["integrated_gradients"], []), {})
    assert isinstance(question, Text)
    add("axioms", "a", rows("sensitivity_violations", [0.0]), "karate")
    sections = split(load(folder.path))
    _, said, _ = first(sections, Palette(["a"], []), {})
    assert said.texts == ["Axioms: 1 of 1 method (a) keeps sensitivity."]
    # With quality, the first screen is about that.
    folder.quality("a", [0.1, 0.2, 0.3])
    sections = split(load(folder.path))
    assert not alone(sections)
    question, said, *_ = first(sections, Palette(["a"], []), {})
    assert question.text.startswith("Which method explains these models' predictions best")
