"""Numbers as text."""

import pytest

from benchmarks.report.render import blocks
from benchmarks.report.stats.estimates import Estimate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (blocks.number(0.12345, bounded=True), "0.123"),
        (blocks.number(-0.0001, bounded=True), "0.000"),
        (blocks.number(0.0000123), "1.2e-05"),
        (blocks.number(12345.6), "12,346"),
        (blocks.number(float("nan")), "–"),
        (blocks.number(None), "–"),
        (blocks.estimate(Estimate(0.5, 0.25, 0.75, 9), bounded=True), "0.500 [0.250, 0.750]"),
        (blocks.estimate(None), "–"),
        (blocks.factors(Estimate(12.34, 9.876, 1234.5, 9)), "12.3× [9.88×, 1,234×]"),
        (blocks.seconds(1.4), "1.4 s"),
        (blocks.seconds(0.0123), "12.3 ms"),
        (blocks.seconds(0.9997), "1 s"),
        (blocks.seconds(2e-4), "200 µs"),
        (blocks.seconds(1234), "1,234 s"),
        (blocks.size(40_100_000), "40.1 MB"),
        (blocks.size(0), "0 B"),
        (blocks.size(None), "–"),
        (blocks.share(0.0034), "0.34 %"),
        (blocks.share(0.01), "1 %"),
        (blocks.share(1.414), "141.4 %"),
    ],
)
def test_numbers_as_text(text, expected):
    assert text == expected
