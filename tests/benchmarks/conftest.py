"""What tests of whole runs share: methods that are not this package's own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which ``faulty_methods`` is an installed package with entry points."""
    folder = tmp_path_factory.mktemp("site")
    source = (Path(__file__).parent / "faulty_methods.py").read_text()
    (folder / "faulty_methods.py").write_text(source)
    information = folder / "faulty_methods-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: faulty-methods\nVersion: 1\n"
    )
    classes = re.findall(r"^class (\w+)\(Fine\)", source, re.MULTILINE)
    names = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in classes}
    points = [f"{name} = faulty_methods:{kind}" for kind, name in names.items()]
    (information / "entry_points.txt").write_text(
        "\n".join(["[gnn_explainer_bench.methods]", *points])
    )
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
