"""The report as HTML: the parts that need no browser."""

from matplotlib.figure import Figure

from benchmarks.report.render import html
from benchmarks.report.render.blocks import Picture


def test_ids_of_a_figure_are_its_own():
    svg = (
        '<?xml?>\n<!-- <b> -->\n<svg width="10pt" height="5pt"><g id="p"/><a clip="url(#p)"/></svg>'
    )
    inlined = html.inline(svg, "one")
    assert 'id="one-p"' in inlined
    assert "url(#one-p)" in inlined
    assert "<b>" not in inlined
    assert "height=" not in inlined


def test_equal_styles_of_all_figures_are_one_class_and_no_style_is_lost():
    one = '<svg style="width: 9pt"><path d="M" style="fill: #fff"/><g style="color: red"/></svg>'
    page = html.render("Title", [_picture("one"), _picture("two")], {"one": one, "two": one})
    assert page.count('<path d="M" class="d0"/><g class="d1"/>') == 2
    assert page.count(".d0 { fill: #fff }") == page.count(".d1 { color: red }") == 1
    assert page.count('<svg style="width: 9pt" aria-hidden="true">') == 2


def _picture(name):
    return Picture(name, "Caption.", Figure())
