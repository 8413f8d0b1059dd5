"""Parameter randomisation in the report: the tables, and what they say of a ground truth."""

import pytest
import torch
from torch_geometric.nn import GraphConv
from torch_geometric.nn.module_dict import ModuleDict  # in which HeteroConv has its layers

from benchmarks import tasks
from benchmarks.measures.randomisation import stages as measured_stages
from benchmarks.report.data.randomisation import caution, like_untrained, stages, truth_checks
from benchmarks.report.render.blocks import Heading, Table, Text
from benchmarks.report.sections.ground_truth import ground_truth
from benchmarks.report.sections.randomisation import randomisation

ALL = "cascading, 2 of 2: convs.0"
LAST = "cascading, 1 of 2: convs.1"
OTHERS = "trained with another seed"
METHODS = [
    {"name": "degree", "model_dependent": False},
    {"name": "random", "model_dependent": False},
    {"name": "saliency", "model_dependent": True},
]


def rows(metric, values, other):
    return [
        {"node": node, "metric": metric, "value": value, "other": other}
        for node, value in enumerate(values)
    ]


def truth(trained, untrained, metric="auroc"):
    return rows(metric, trained, "trained") + rows(metric, untrained, "untrained")


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def test_the_tables_by_hand(folder, settings, section):
    folder.manifest(methods=METHODS)
    for seed, shift in ((0, 0.0), (1, 0.2)):
        quality = rows("spearman", [0.8 - shift, 0.6 - shift], LAST)
        quality += rows("spearman", [0.5], ALL) + rows("spearman", [0.3, 0.3], OTHERS)
        quality += rows("spearman", [0.9], "independent, 1 of 2: convs.1")
        folder.add("randomisation", settings("saliency", seed=seed), quality=quality)
    folder.add("randomisation", settings("degree"), quality=rows("spearman", [1.0, 1.0], ALL))
    heading, how, table, alike, independent = randomisation(section())
    assert isinstance(heading, Heading)
    assert isinstance(how, Text)
    assert table.header == ("method", "convs.1 (last layer)", "all layers (to convs.0)", OTHERS)
    assert texts(table) == [
        ["degree", "–", "1.000 [1.000, 1.000]", "–"],
        # Two models and two nodes: Student's t of one degree of freedom each, cut at 1.
        ["saliency", "0.600 [-0.008, 1.000]", "0.500 [0.500, 0.500]", "0.300 [0.300, 0.300]"],
    ]
    assert not table.folded
    assert "cascading: rank correlation of the absolute scores" in table.caption
    assert alike.text.endswith(": saliency.")
    assert independent.folded
    assert independent.header == ("method", "convs.1 (last layer)", OTHERS)


def test_stages_are_in_the_order_of_the_layers(folder, settings, section):
    names = ["cascading, 10 of 10: a", "independent, 1 of 10: j", "cascading, 2 of 10: i"]
    quality = [row for name in [*names, OTHERS] for row in rows("spearman", [0.5], name)]
    folder.add("randomisation", settings("saliency"), quality=quality)
    found, _ = section().of("randomisation")
    headings = [(one.depth, one.heading) for one in stages(found, "cascading")]
    assert headings == [(2, "+ i"), (10, "all layers (to a)")]


def test_layers_of_edge_types_have_plain_names(folder, settings, section):
    """As PyG's own layers name them."""
    types = [("v.1", "publishes", "paper"), ("paper", "written by", "author")]
    convs = {one: GraphConv((1, 1), 1) for one in types}
    model = torch.nn.ModuleDict({"first": torch.nn.ModuleDict({"convs": ModuleDict(convs)})})
    names = [name for name, one in model.named_modules() if isinstance(one, GraphConv)]
    told = [one.name for one in measured_stages(names)]
    quality = [row for name in [*told, OTHERS] for row in rows("spearman", [0.5], name)]
    folder.add("randomisation", settings("saliency"), quality=quality)
    tables = [block for block in randomisation(section()) if isinstance(block, Table)]
    first, last = "first.convs.v.1→publishes→paper", "first.convs.paper→written by→author"
    assert [table.header for table in tables] == [
        ("method", f"{last} (last layer)", f"all layers (to {first})", OTHERS),
        ("method", f"{last} (last layer)", first, OTHERS),
    ]


@pytest.mark.parametrize(("untrained", "expected"), [(0.489, []), (0.491, ["saliency"])])
def test_alike_is_at_most_a_hundredth_below_trained_models(
    folder, settings, section, untrained, expected
):
    folder.manifest(methods=METHODS)
    for method in ("saliency", "degree"):
        quality = rows("spearman", [untrained] * 2, ALL) + rows("spearman", [0.5] * 2, OTHERS)
        folder.add("randomisation", settings(method), quality=quality)
    assert like_untrained(section()) == expected


@pytest.mark.parametrize(
    ("saliency", "lime", "degree", "found"),
    [
        (((0.9, 0.9), (0.6, 0.6)), ((0.8, 0.8), (0.5, 0.5)), 0.5, ""),
        # The best is as good without training; then the median; then the degrees alone.
        (
            ((0.9, 0.9), (0.6, 0.6)),
            ((0.5, 0.5), (0.9, 0.89)),
            0.5,
            "with random weights in the model this ground truth is found as well (",
        ),
        (
            ((0.9, 0.9), (0.88, 0.88)),
            ((0.6, 0.6), (0.7, 0.7)),
            0.5,
            "with random weights in the model half of the methods find this ground truth as well, "
            "though not the best (",
        ),
        (
            ((0.9, 0.9), (0.6, 0.6)),
            ((0.8, 0.8), (0.5, 0.5)),
            0.895,
            "the graph alone gives this ground truth away (",
        ),
        (((0.9, 0.9), (0.6, 0.6)), ((0.8, 0.8), (0.5, 0.5)), 0.885, ""),
    ],
)
def test_a_ground_truth_that_is_found_without_training(
    folder, settings, section, saliency, lime, degree, found
):
    folder.manifest(methods=METHODS)
    measured = {"saliency": saliency, "lime": lime, "degree": ([degree] * 2,) * 2}
    measured["random"] = ([1.0] * 2,) * 2  # chance is no evidence, however lucky
    for method, pair in measured.items():
        folder.add("randomisation", settings(method), quality=truth(*pair))
    (check,) = truth_checks(section())
    assert (check.trained, check.baseline, check.structure) == (0.9, "degree", degree)
    assert check.found is bool(found)
    assert caution(section()).startswith(f"Caution: {found}" if found else "")
    assert bool(caution(section())) is bool(found)


def test_ba_shapes_as_it_was_measured(folder, settings, section):
    folder.manifest(methods=METHODS)
    folder.add("randomisation", settings("integrated_gradients"), quality=truth([0.965], [0.978]))
    folder.add("randomisation", settings("degree"), quality=truth([1.0], [1.0]))
    folder.add("quality", settings("degree"), quality=[{**rows("auroc", [1.0], "")[0]}])
    text = caution(section())
    assert text.startswith(
        "Caution: with random weights in the model this ground truth is found as well (AUROC of "
        "the best method 0.978 with random weights, 0.965 with the model's own; median change over "
        "the methods +0.013; degree 1.000)."
    )
    for part in (ground_truth, randomisation):
        tables = [block for block in part(section()) if isinstance(block, Table)]
        assert sum(text in table.caption for table in tables) == 1


def test_without_the_benchmark_the_task_says_it_of_itself(folder, settings, section):
    folder.add("quality", settings("degree"), quality=[{**rows("auroc", [1.0], "")[0]}])
    (_, table) = ground_truth(section())
    assert "aution" not in table.caption
    folder.manifest(tasks=[{"name": "karate", "motif": True}])
    (_, table) = ground_truth(section())
    assert "Caution: in such motif tasks" in table.caption
    # What was measured has the last word.
    folder.add("randomisation", settings("saliency"), quality=truth([0.9], [0.5]))
    (_, table) = ground_truth(section())
    assert "aution" not in table.caption


def test_nothing_where_nothing_was_measured(folder, section):
    folder.quality("saliency", [0.5, 0.7])
    assert list(randomisation(section())) == []
    assert caution(section()) == ""


def test_the_motif_tasks():
    kinds = ("ba-shapes", "ba-community", "tree-cycles", "tree-grid")
    names = {name for name in tasks.available() if name.partition(":")[0] in kinds}
    assert {f"{kind}:published" for kind in kinds} < names
    assert {name for name in tasks.available() if tasks.definition(name).motif} == names
