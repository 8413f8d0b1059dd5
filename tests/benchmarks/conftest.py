"""What tests of whole runs share: methods that are not this package's own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

# Modules that fail where they are imported, by the names of their methods.
BROKEN = {
    "broken": "raise RuntimeError('no such luck')",
    "broken_and_exits": "import os; os._exit(0)",
    "broken_and_hangs": "import time; time.sleep(10**6)",
}


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
    # An honest one for each.
    points += [f"after_{name} = explainers.methods.saliency:METHOD" for name in names.values()]
    for name, code in BROKEN.items():
        (folder / f"{name}.py").write_text(code)
        points.append(f"{name} = {name}:METHOD")
    (information / "entry_points.txt").write_text(
        "\n".join(["[gnn_explainer_bench.methods]", *points])
    )
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
