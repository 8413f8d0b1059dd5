"""Runs the tests of ``on_device/``, on the test device, in a process of their own.

The device is registered with PyTorch for the rest of a process, and every other test would have an
accelerator then. Those of one file: ``pytest tests/contracts/on_device/methods.py``.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).with_name("on_device")
FILES = ("itself", "methods", "links_and_types", "waiting")


def test_everything_runs_on_a_device_that_refuses_others_tensors():
    files = [str(FOLDER / f"{name}.py") for name in FILES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    summary = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"[0-9]+ passed(, [0-9]+ warnings?)? in .*", summary), "none may be skipped"
