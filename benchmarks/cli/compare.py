"""``python -m benchmarks compare A B``: what became slower or worse between two runs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.report.data.comparison import Change, Comparison

LIMIT = "10%"


def add_parser(commands: Any) -> None:
    """Adds the command ``compare``."""
    parser = commands.add_parser(
        "compare",
        help="compare two results folders",
        description="What became slower or worse from run A to run B. Exit status: 0 if nothing "
        "became significantly worse by more than the limit, 1 if something did, 2 for invalid "
        "input.",
    )
    parser.add_argument("first", type=Path, metavar="A", help="the results folder before")
    parser.add_argument("second", type=Path, metavar="B", help="the results folder after")
    parser.add_argument(
        "--fail-on",
        default=LIMIT,
        metavar="LIMIT",
        help="how much worse a time or a metric may become (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(command=compare)


def compare(options: argparse.Namespace) -> int:
    """Compares two runs. Needs no torch."""
    limit = parse_limit(options.fail_on)
    from benchmarks.report.data.comparison import compare as compare_folders

    found = compare_folders(options.first, options.second)
    regressions = found.regressions(limit)
    print(_json(found, limit) if options.json else "\n".join(_lines(found, limit)))
    return 1 if regressions else 0


def parse_limit(text: str) -> float:
    """``10%`` or ``0.1`` as 0.1.

    Raises:
        ValueError: It is not a number, below 0, or above 1 without a percent sign.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"--fail-on {text}: must be a share of 0 or more, such as 10% or 0.1")
    if value > 1 and not text.endswith("%"):  # 10 for 10%: a limit that nothing would exceed
        raise ValueError(
            f"--fail-on {text}: is {100 * value:g}%; write {text}%, or {100 * value:g}% if that is "
            "meant"
        )
    return value


def _lines(found: Comparison, limit: float) -> list[str]:
    lines = [f"note: {note}" for note in found.notes]
    if found.drift is not None:
        drift = found.drift
        times = f"{drift.value:.2f} times [{drift.low:.2f}, {drift.high:.2f}]"
        if drift.low > 1 + limit or drift.high < 1 / (1 + limit):
            word = "slower" if drift.value > 1 else "faster"
            lines.append(
                f"everything is {word}, {times} the time: the machine, or code that all share. "
                "The times below are relative to that, and it alone fails nothing."
            )
        else:
            lines.append(f"drift of all times: {times}; the times below are relative to it.")
    for title, changes in (("time", found.times), ("quality", found.quality)):
        worse = [change for change in changes if change.beyond(limit)]
        compared = [change for change in changes if change.judged]
        lines.append(
            f"{title}: {len(changes)} compared, {len(changes) - len(compared)} of them not judged, "
            f"{len(worse)} significantly worse by more than {100 * limit:g} %"
        )
        shown = sorted(changes, key=lambda change: -change.change.value)
        lines += [f"  {_line(change, limit)}" for change in shown if _notable(change, limit)]
    for letter, names in zip("AB", found.only, strict=True):
        lines += [f"only in {letter}: {name}" for name in names]
    return lines


def _notable(change: Change, limit: float) -> bool:
    return abs(change.change.value) > limit or change.beyond(limit)


def _line(change: Change, limit: float) -> str:
    """One change; what is no regression says why it is listed all the same."""
    estimate = change.change
    shown = f"{100 * estimate.value:+.1f} %"
    if math.isfinite(estimate.low):
        shown += f" [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
    if change.beyond(limit):
        verdict = "WORSE"
    elif not change.judged:
        verdict = "not judged"
    else:
        verdict = "better" if change.better(limit) else "within the noise"
    values = f"{change.before:.4g} to {change.after:.4g}"
    return f"{verdict}: {change.name}, {change.what}: {shown} ({values})"


def _json(found: Comparison, limit: float) -> str:
    content = dataclasses.asdict(found)
    content["limit"] = limit
    content["regressions"] = [dataclasses.asdict(one) for one in found.regressions(limit)]
    return json.dumps(_finite(content), allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no NaN: the bound of an interval that there is none of becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
