"""What distinguishes methods in a figure, and what the sweep's heatmaps show."""

from benchmarks.report.data import steps
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from benchmarks.report.figures import sweep_heatmaps
from benchmarks.report.figures.palette import Palette


def test_methods_keep_their_colour_and_differ_beyond_ten():
    names = [f"m{i:02}" for i in range(14)]
    palette = Palette(names, ["stock"])
    styles = {(palette.colour(name), str(palette.dash(name))) for name in names}
    assert len(styles) == 14
    assert palette.colour("m00") == palette.colour("m10")


def test_the_markers_of_thirty_methods_differ():
    names = [f"m{i:02}" for i in range(30)]
    palette = Palette(names, ["stock"])
    assert len({str(palette.marks(name)) for name in names}) == 30


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
