"""A run of the benchmark of parameter randomisation, from the command line to the report."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def section(tmp_path_factory):
    """Karate with two models: baselines that do not look at the model, and a method that does."""
    folder = tmp_path_factory.mktemp("randomisation")
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks/test_randomisation.py", "--benchmark-only"),
        *("-q", "--task", "karate", "--device", "cpu", "--seeds", "2", "--results", str(folder)),
        *("--method", "degree", "--method", "random", "--method", "saliency"),
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = split(load(folder))
    return found


def values(section, method, metric):
    rows, _ = section.of("randomisation")
    rows = rows[(rows["method"] == method) & (rows["metric"] == metric)]
    assert set(rows["model_seed"]) == {0, 1}
    return rows


def test_what_does_not_look_at_the_model_stays_as_it_is(section):
    assert section.baselines == {"degree", "random"}
    for metric in ("spearman", "top_overlap"):
        assert values(section, "degree", metric)["value"].to_numpy() == pytest.approx(1)


def test_random_scores_are_unrelated(section):
    rows = values(section, "random", "spearman")
    assert abs(rows["value"].mean()) < 0.2
    overlap = values(section, "random", "top_overlap")["value"].mean()
    assert overlap == pytest.approx(0.2, abs=0.1)


def test_every_stage_and_the_other_models_are_there(section):
    stages = [f"{mode}, {at} of 2: convs.{2 - at}" for mode in STAGES for at in (1, 2)]
    rows = values(section, "saliency", "spearman")
    assert set(rows["other"]) == {*stages, "trained with another seed"}
    assert set(values(section, "random", "spearman")["other"]) == {
        *stages,
        "trained with another seed",
        "same model, other draw",
    }
    assert np.isfinite(rows["value"]).all()
    # The last layer alone, and the cascade that begins with it, are the same models.
    one, two = (
        rows[rows["other"] == f"{mode}, 1 of 2: convs.1"]["value"].to_numpy() for mode in STAGES
    )
    assert (one == two).all()


STAGES = ("cascading", "independent")


def test_a_model_set_by_hand_has_no_other_training(tmp_path):
    """A task that brings its model has one: of two models asked for, there is nothing to load."""
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks/test_randomisation.py", "--benchmark-only"),
        *("-q", "--task", "white-box-or:gated", "--device", "cpu", "--seeds", "2", "--nodes", "2"),
        *("--results", str(tmp_path), "--method", "saliency", "--no-baselines", "--together"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = split(load(tmp_path))
    rows, _ = found.of("randomisation")
    assert len(rows) > 0
    assert "trained with another seed" not in set(rows["other"])
