"""The console script ``gnn-explainer-bench``: ``python -m benchmarks``, from any folder.

The wheel ships the library only. The harness belongs to a checkout; where that was not installed
(``pip install -e .``), the script says so instead of failing with an import error.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys


def main() -> int:
    """Hands over to the harness; returns its exit status."""
    # By name and only here: the library does not depend on the harness. Some other package may be
    # called `benchmarks`, too; none has this module in it.
    try:
        found = importlib.util.find_spec("benchmarks.cli.explain")
    except ImportError:
        found = None
    if found is None:
        print(
            "gnn-explainer-bench: the benchmark harness runs from a checkout; clone the repository "
            "and there run: python -m pip install -e .[bench]",
            file=sys.stderr,
        )
        return 2
    return int(importlib.import_module("benchmarks.__main__").main())
