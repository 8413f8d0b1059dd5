"""The frames cut into sections, and the labels of methods that come in variants."""

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split


def test_variants_of_a_method_are_named_by_their_options_engines_are_not(folder, settings):
    for settings_of in (
        settings("ig", "stock") | {"options": {"internal_batch_size": 1, "seed": 0}},
        settings("ig", "stock") | {"options": {"internal_batch_size": 1, "seed": 1}},
        settings("ig", "batched", internal_batch_size=10),
        settings("saliency", "stock", absolute=True),
        settings("saliency", "stock", absolute=False),
    ):
        folder.add("runtime", settings_of, runtime=[{"node": 1, "repeat": 0, "seconds": 1.0}])
    (section,) = split(load(folder.path))
    assert sorted(section.runtime["label"]) == [
        *("ig", "ig", "ig"),
        *("saliency (absolute=False)", "saliency (absolute=True)"),
    ]


def test_devices_are_sections_and_no_two_share_a_slug(folder, settings):
    row = [{"node": 1, "repeat": 0, "seconds": 1.0}]
    for task, device in (("a b", "cpu"), ("a-b", "cpu"), ("a-b", "cuda")):
        folder.add("runtime", settings(task=task, device=device), runtime=row)
    sections = split(load(folder.path))
    assert [section.title for section in sections] == ["a b (cpu)", "a-b (cpu)", "a-b (cuda)"]
    assert [section.slug for section in sections] == ["a-b-cpu", "a-b-cpu-2", "a-b-cuda"]


def test_the_kind_of_model_is_named_only_where_a_task_has_several(folder, settings):
    row = [{"node": 1, "repeat": 0, "seconds": 1.0}]
    for task, model in (("cora", "gat"), ("cora", "gcn"), ("white-box-or", "graph_conv")):
        folder.add("runtime", settings(task=task) | {"model": model}, runtime=row)
    sections = split(load(folder.path))
    assert [section.title for section in sections] == ["cora (gat)", "cora (gcn)", "white-box-or"]


def test_the_manifest_says_what_is_explained_and_older_ones_are_known(folder, settings):
    row = [{"node": 1, "repeat": 0, "seconds": 1.0}]
    tasks = [{"name": "molecules", "task_level": "graph"}, {"name": "mutag"}, {"name": "karate"}]
    folder.manifest(tasks=tasks)
    for task in ("karate", "molecules", "mutag"):
        folder.add("runtime", settings(task=task), runtime=row)
    assert [one.level for one in split(load(folder.path))] == ["node", "graph", "graph"]
