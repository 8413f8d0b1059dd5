"""The report as Markdown: what is escaped."""

import pytest

from benchmarks.report.render import markdown


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
