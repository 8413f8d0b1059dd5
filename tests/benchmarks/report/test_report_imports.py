"""The report stands alone: it needs no torch, and of the project only what was stored."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import importlib, importlib.abc, pkgutil, sys

REFUSED = ("torch", "torch_geometric", "captum", "explainers")
ALLOWED = ("benchmarks.report", "benchmarks.store", "benchmarks.replication.published")

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(name + " is refused")

sys.meta_path.insert(0, Refuse())
import benchmarks.report
for module in pkgutil.walk_packages(benchmarks.report.__path__, "benchmarks.report."):
    importlib.import_module(module.name)
ours = [name for name in sys.modules if name.startswith("benchmarks.")]
assert len(ours) > 30, ours
parents = ("benchmarks.replication",)
print(*[name for name in ours if name not in parents and not name.startswith(ALLOWED)])
"""


def test_all_of_the_report_is_imported_without_torch_and_the_rest_of_the_project():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
