"""The report as Markdown: what is escaped."""

import pytest

from benchmarks.report.render import markdown
from benchmarks.report.render.blocks import Heading, Text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("integrated_gradients", "integrated_gradients"),
        ("_x_", r"\_x\_"),
        ("0.1 [0.0, 0.2]", "0.1 [0.0, 0.2]"),
        ("a|b*c`d", r"a\|b\*c\`d"),
        ("two\nlines", "two lines"),
        ("<b> & co", "&lt;b&gt; &amp; co"),
    ],
)
def test_markdown_escapes_what_would_be_markup(text, escaped):
    assert markdown.escape(text) == escaped


def test_detailed_parts_are_left_out_and_a_line_says_where_they_are():
    blocks = [
        *(Heading("Verdict", "verdict"), Text("Best: a.")),
        *(Heading("karate", "task-karate", detailed=True), Heading("Quality", "q", 3), Text("b")),
        *(Heading("cora", "task-cora", detailed=True), Text("c")),
        *(Heading("Failures", "failures"), Text("None.")),
    ]
    page = markdown.render("Title", blocks)
    assert page == (
        f"# Title\n\n## Verdict\n\nBest: a.\n\n{markdown.DETAILS}\n\n## Failures\n\nNone.\n"
    )
