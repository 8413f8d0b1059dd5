"""What the measures say of their values."""

import json

import pytest

from benchmarks import measures
from benchmarks.measures import agreement, engines
from benchmarks.measures.equivalent_networks import REWRITES


def test_the_description_is_plain_data_and_names_the_module():
    described = {entry["name"]: entry for entry in measures.describe()}
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["kendall_tau"]["metric"] == "agreement"
    assert described["kendall_tau"]["direction"] == ""
    assert described["over_limit"]["bounds"] == [0, None]


def test_every_rewrite_has_its_value():
    described = {entry["name"] for entry in measures.describe()}
    assert {f"invariance_{name}" for name in REWRITES} <= described


def test_two_measures_do_not_share_a_value(monkeypatch):
    monkeypatch.setattr(engines, "VALUES", {"overlap": agreement.VALUES["overlap"]})
    with pytest.raises(ValueError, match="'agreement' and 'engines' both give 'overlap'"):
        measures.describe()
