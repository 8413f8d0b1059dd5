"""The report as HTML: the parts that need no browser."""

from benchmarks.report.render import html


def test_ids_of_a_figure_are_its_own():
    svg = (
        '<?xml?>\n<!-- <b> -->\n<svg width="10pt" height="5pt"><g id="p"/><a clip="url(#p)"/></svg>'
    )
    inlined = html.inline(svg, "one")
    assert 'id="one-p"' in inlined
    assert "url(#one-p)" in inlined
    assert "<b>" not in inlined
    assert "height=" not in inlined
