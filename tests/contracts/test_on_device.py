"""Runs the tests of ``on_device/`` on the test device, each file in a process of its own.

The device is registered with PyTorch for the rest of a process, and every other test would have an
accelerator then. To run one of them: ``pytest tests/contracts/on_device/methods.py``.
"""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["itself", "methods", "waiting"])
def test_on_device(name):
    file = Path(__file__).parent / "on_device" / f"{name}.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
