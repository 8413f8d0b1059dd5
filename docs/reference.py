"""Builds the reference from the docstrings: ``python docs/reference.py [FOLDER]``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc

from explainers._discovery import discover

FOLDER = Path(__file__).parents[1] / "build" / "docs"
PAGES = (
    "explainers",
    "explainers.drawing.draw",
    "explainers.engines.analytic.gradients",
    "explainers.engines.batched",
    "explainers.engines.stock",
    "explainers.methods",
    "explainers.metrics",
    "benchmarks.tasks",
)


def main(folder: Path) -> None:
    """Writes the pages of the modules above, and of each method and metric.

    Raises:
        UserWarning: pdoc cannot make sense of something, for example of an annotation.
    """
    found = [*discover("methods", "METHOD").values(), *discover("metrics", "METRIC").values()]
    pdoc.render.configure(docformat="google", footer_text="gnn-explainer-bench", search=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pdoc.pdoc(*PAGES, *(point.module for point in found), output_directory=folder)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    main(chosen)
    print(chosen / "index.html")
