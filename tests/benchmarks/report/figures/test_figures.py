"""What distinguishes methods in a figure, and what the sweep's heatmaps show."""

import warnings

import numpy as np
import pandas as pd

import explainers
from benchmarks.report.data import steps
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import BASELINES, split
from benchmarks.report.figures import (
    agreement_heatmaps,
    default_times,
    forest,
    rank_heatmaps,
    sweep_heatmaps,
)
from benchmarks.report.figures.encode import _compact
from benchmarks.report.figures.palette import Palette, contrast, readable
from benchmarks.report.figures.style import style
from benchmarks.report.outline import compose
from benchmarks.report.render.blocks import Picture

SVG = """<?xml version="1.0"?>
<svg width="9pt"><metadata><a/></metadata><g id="figure_1"><g id="patch_1"><!-- b -->
<path id="m1" d="M 1.23456 2 L 3 4 L 5 6 z" style="fill: #fff"/><g id="c" clip-path="url(#p1)"><text
 style="font-size: 8px; font-family: 'DejaVu Sans', serif; fill: #000"
 transform="rotate(-0 1 2)">a 1.23456 --&gt; b</text></g></g></g><g id="e"/></svg>"""

NAMES = [name for name in explainers.available() if name not in BASELINES]


def test_a_method_looks_the_same_whatever_else_a_report_has():
    few = Palette(["lime", "occlusion", "saliency", "theirs"], ["stock"])
    many = Palette(["attention", "lime", "occlusion", "theirs", "zzz"], ["batched"])
    for name in ("lime", "occlusion", "theirs", "random", "lime = occlusion"):
        looks = [
            (one.colour(name), str(one.dash(name)), one.shape(name), str(one.marks(name)))
            for one in (few, many)
        ]
        assert looks[0] == looks[1]


def test_baselines_are_grey_and_the_known_methods_differ():
    palette = Palette(NAMES, [])
    for name in BASELINES:
        red, green, blue = palette.colour(name)
        assert red == green == blue
    looks = {
        (palette.colour(name), palette.shape(name), str(palette.marks(name))) for name in NAMES
    }
    assert len(looks) == len(NAMES)


def test_the_markers_of_thirty_methods_differ():
    names = [f"m{i:02}" for i in range(30)]
    palette = Palette(names, ["stock"])
    assert len({str(palette.marks(name)) for name in names}) == 30


def test_a_drawing_is_made_small_and_its_texts_stay():
    small = _compact(SVG)
    assert small.split("\n", 1)[1] == (
        '<svg font-family="\'DejaVu Sans\', serif" width="9pt">\n'
        '<path id="i0" d="M1.23 2 3 4 5 6z" style="fill: #fff"/><g clip-path="url(#i1)">'
        '<text style="font-size: 8px; fill: #000">a 1.23456 --&gt; b</text></g><g/></svg>'
    )
    curve = SVG.replace("L 5 6", "Q 5 6 7 8 L 9 9")
    assert 'd="M1.23 2L3 4Q5 6 7 8L9 9z"' in _compact(curve)  # after a curve, a line is named
    two = SVG.replace("</svg>", '<text style="font-family: mono; fill: #000">c</text></svg>')
    assert _compact(two).count("font-family: ") == 2  # what differs stays where it is


def test_what_follows_each_other_in_a_drawing_says_once_what_it_shares():
    clip, thin = 'clip-path="url(#p9)"', 'style="fill: none; stroke: red"'
    shapes = [
        f'<path d="M 1.26 2 L 1.26 4 L 3 4 L 5 6" {clip} {thin}/>',
        f'<path d="M 7 8 L 9 8 z" {clip} {thin}/>',
        f'<path d="M 1 1" {clip} {thin}/>',  # one point: nothing is drawn
        '<defs>\n<path id="m9" d="M 0.123 0 L 1 1"/>\n</defs>',
        f'<g {clip}>\n<use xlink:href="#m9" x="1.26" y="2" style="fill: red"/>\n</g>',
        '<path d="M 0 0 L 1 1" clip-path="url(#p8)"/>',
    ]
    assert _compact("\n".join(["<svg>", *shapes, "</svg>"])).split("\n") == [
        "<svg>",
        '<g clip-path="url(#i0)">',
        '<path d="M1.3 2V4H3L5 6M7 8H9z" style="fill: none; stroke: red"/>',
        "<defs>",
        '<path id="i1" d="M0.12 0 1 1"/>',
        "</defs>",
        '<use xlink:href="#i1" x="1.3" y="2" style="fill: red"/>',
        "</g>",
        '<path d="M0 0 1 1" clip-path="url(#i2)"/>',
        "</svg>",
    ]
    clear = "\n".join(one.replace("red", "red; stroke-opacity: 0.5") for one in shapes[:2])
    assert _compact(f"{clear}\n").count("<path") == 2  # where they cross, both are seen
    mark = '<use xlink:href="#m" x="1" y="2" style="fill: red"/>\n'
    one = '<use xlink:href="#i0" x="1" y="2"/>\n'
    assert _compact(2 * mark) == f'<g style="fill: red">\n{2 * one}</g>\n'


def test_words_in_a_methods_colour_can_be_read():
    palette = Palette(NAMES, [])
    assert contrast((1, 1, 1)) == 1
    assert contrast((0, 0, 0)) == 21
    assert abs(contrast((0x76 / 255,) * 3) - 4.54) < 0.01  # the grey that WCAG's examples name
    for name in [*NAMES, *BASELINES]:
        assert contrast(readable(palette.colour(name))) >= 4.5
    assert readable((0.0, 0.0, 0.5)) == (0.0, 0.0, 0.5)  # what can be read stays


def test_the_sweep_says_oom_where_memory_ran_out(full):
    (section,) = split(load(full.path))
    (settings,) = steps.sweeps(section).values()
    axis = sweep_heatmaps.draw(settings).axes[0]
    texts = {
        (text.get_position()[0], text.get_position()[1]): text.get_text() for text in axis.texts
    }
    assert texts[7.5, 5.5] == "oom"  # 500 steps, all at once
    assert list(texts.values()).count("oom") == 1
    assert [label.get_text() for label in axis.get_xticklabels()][-1] == "all"


def test_no_number_of_the_sweep_is_a_formula(full):
    """The style shows a text as it is, and a logarithmic axis writes formulas by itself."""
    (section,) = split(load(full.path))
    (settings,) = steps.sweeps(section).values()
    with style():
        figure = sweep_heatmaps.draw(settings)
        figure.draw_without_rendering()
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    texts = [tick.get_text() for axis in bars for tick in axis.get_yticklabels()]
    assert "1 %" in texts
    assert not any("$" in text for text in texts)


def test_a_bar_goes_from_the_fastest_to_the_slowest_and_the_shape_is_the_engine():
    columns = ["method", "engine", "seconds", "fastest", "slowest"]
    given = [("saliency", "analytic", 2e-3, 1e-3, 4e-3), ("lime", "batched", 0.5, 0.5, 0.5)]
    palette = Palette(["lime", "saliency"], ["stock", "analytic", "batched"])
    figure = default_times.draw(pd.DataFrame(given, columns=columns), palette, "karate")
    axis = figure.axes[0]
    bars, marks = axis.lines[::2], axis.lines[1::2]
    assert [list(one.get_xdata()) for one in bars] == [[1e-3, 4e-3], [0.5, 0.5]]
    assert [list(one.get_xdata()) for one in marks] == [[2e-3], [0.5]]
    assert [one.get_marker() for one in marks] == [*map(palette.marker, ("analytic", "batched"))]
    assert [one.get_text() for one in axis.get_yticklabels()] == ["saliency", "lime"]
    assert {"2 ms", "500 ms"} <= {one.get_text() for one in axis.texts}
    assert axis.get_xscale() == "log"


def test_ten_methods_that_are_the_same_leave_room_for_the_figure(folder, settings):
    same = [f"a_method_with_a_name_{i}" for i in range(10)]
    rng = np.random.default_rng(0)
    equal = rng.normal(0.5, 0.05, (2, 8))
    for task, some in (("t1", same), ("t2", same[:1])):  # the overview is of several tasks
        for place, name in enumerate([*some, "gnn_explainer", "random"]):
            gains = equal if name in same else equal - 0.1 * place + rng.normal(0, 0.05, (2, 8))
            quality = [
                {"node": node, "metric": metric, "semantics": "mask", "level": level}
                | {"value": float(value)}
                for metric, values in zip(("fidelity+_prob", "fidelity-_prob"), gains, strict=True)
                for node, value in enumerate(values)
                for level in ("f=10%", "f=20%", "f=50%")
            ]
            folder.add("quality", settings(name, task=task), quality=quality)
            time = [{"repeat": 0, "node": 0, "nodes": 1, "seconds": 1.0 + place}]
            folder.add("runtime", settings(name, task=task), runtime=time)
    found = {one.name: one for one in compose(load(folder.path)) if isinstance(one, Picture)}
    folded = ("forest-t1", "fidelity-t1", "quality-cost-t1", "ranks-t1")
    assert {*folded, "overview"} < set(found)
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")  # matplotlib's: axes sizes collapsed to zero
        boxes = {}
        for name in (*folded, "overview"):
            found[name].figure.draw_without_rendering()
            boxes[name] = found[name].figure.get_tightbbox()
    for name in folded:
        figure = found[name].figure
        texts = [text.get_text() for axis in figure.axes for text in axis.texts]
        texts += [text.get_text() for axis in figure.axes for text in axis.get_yticklabels()]
        shown = [text for text in texts if "=" in text]
        assert shown
        assert all(text.startswith(f"{same[0]} = {same[1]}, +8 more") for text in shown)
        widths = [axis.get_position().width * figure.get_figwidth() for axis in figure.axes]
        assert min(widths) > 1.2  # inches
        assert boxes[name].x0 > -0.05
        assert boxes[name].x1 < figure.get_figwidth() + 0.05
        assert any(" = ".join(same) in text for text in found[name].csv.split(","))
    title = found["forest-t1"].figure.get_suptitle()
    assert title.replace("\n", " ").startswith(f"t1: {same[0]} = {same[1]}, +8 more")


def test_a_long_name_leaves_room_for_the_overview():
    names = ["saliency", "a_method (" + ", ".join(f"an_option_{i}=100" for i in range(5)) + ")"]
    cells = [(name, task) for name in names for task in ("t1", "t2")]
    ranks = pd.DataFrame(cells, columns=["method", "task"]).assign(
        metric="fidelity+", mean_rank=[1.0, 1.0, 2.0, 2.0], mark="", not_better_than_random=False
    )
    figure = rank_heatmaps.draw(ranks)
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    assert figure.axes[0].get_position().width * figure.get_figwidth() > 2  # inches


def test_a_long_title_of_a_forest_plot_stays_on_it():
    rows = pd.DataFrame({"metric": "fidelity+", "method": ["lime", "random"], "mean": [0.3, 0.1]})
    rows = rows.assign(shown=rows["method"], low=0.0, high=0.5, seconds=np.nan)
    title = "white-box-common-neighbours: cf_explainer = deconvolution, +6 more (8-way tie)"
    figure = forest.draw(rows, Palette(["lime", "random"], []), title)
    with style():
        figure.draw_without_rendering()
    assert "".join(figure.get_suptitle().split()) == "".join(title.split())
    box = figure.get_tightbbox()
    assert box.x0 > -0.05
    assert box.x1 < figure.get_figwidth() + 0.05


def test_one_heatmap_has_both_measures_of_agreement():
    names = ["a", "b", "c"]
    tau = pd.DataFrame([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]], names, names)
    overlap = pd.DataFrame([[1, 0.5, 0.7], [0.5, 1, 0.6], [0.7, 0.6, 1]], names, names)
    axis = agreement_heatmaps.draw({"tau": tau, "overlap": overlap}).axes[0]
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert rows in (["b", "c", "a"], ["a", "c", "b"])  # those that agree stand side by side
    for text in axis.texts:
        column, row = (int(place) for place in text.get_position())
        square = tau if row > column else overlap
        assert float(text.get_text()) == square.loc[rows[row], rows[column]]
    assert len(axis.texts) == 6  # nothing on the diagonal
    assert axis.get_title() == "below the diagonal: tau\nabove: overlap"
    assert len(agreement_heatmaps.draw({"tau": tau}).axes[0].texts) == 3
