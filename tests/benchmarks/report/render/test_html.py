"""The report as HTML: the parts that need no browser."""

from matplotlib.figure import Figure

from benchmarks.report.render import html
from benchmarks.report.render.blocks import Entry, Picture, Table


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


def test_a_line_ends_within_no_interval_and_only_at_places_of_a_long_name():
    space = "\u00a0"
    rows = [
        [Entry("graph_explain_integrated_gradients"), Entry("0.5 [0.4, 0.6] ‡", value=0.5)],
        [Entry("<a> & b, c"), Entry("12.5 ms", value=0.0125)],
        [Entry("c"), Entry("0" * 40)],
        [Entry("d"), Entry("1,520× [1,226×, 1,858×]", mark="tied", value=1520)],
    ]
    page = html.render("Title", [Table("Caption.", ("a", "b"), rows)], {})
    for shown in (
        "graph_<wbr>explain_<wbr>integrated_<wbr>gradients",
        f"0.5 [0.4,{space}0.6]{space}‡<",
        "&lt;a&gt; &amp; b, c",
        f"12.5{space}ms",
        f'<td class="long sum">{"0" * 40}<',
        f"1,520× [1,226×,{space}1,858×]{space}<abbr>†",
    ):
        assert shown in page
