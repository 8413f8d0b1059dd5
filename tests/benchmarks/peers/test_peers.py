"""Methods of other packages: PyG's against ours, by the same formulas; others if installed."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.explain import Explanation
from torch_geometric.nn import GCNConv, global_add_pool

import explainers
from benchmarks.harness import plugin
from benchmarks.measures.peers import LONG, OURS, ROUNDS, THEIRS, agreement, in_turn
from benchmarks.peers import Peer, missing
from benchmarks.peers._peer import attribution
from benchmarks.report.data.frames import load
from benchmarks.report.data.section import split
from explainers.methods import Method, TrainedMethod

ROOT = Path(__file__).parents[3]
HOME = ROOT / "benchmarks" / "peers"
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
POINTS = PROJECT["entry-points"]["gnn_explainer_bench.methods"]


class GCN(nn.Module):
    """Two layers with ReLU as a module; of graphs, the sum of their nodes."""

    def __init__(self, seed=0, graphs=False):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.one, self.two = GCNConv(4, 6), GCNConv(6, 3)
            for bias in (self.one.bias, self.two.bias):
                nn.init.normal_(bias)
        self.relu, self.graphs = nn.ReLU(), graphs
        self.double().eval()

    def forward(self, x, edge_index, edge_weight=None, batch=None):
        x = self.relu(self.one(x, edge_index, edge_weight))
        x = self.two(x, edge_index, edge_weight)
        return (global_add_pool(x, batch) if self.graphs else x).log_softmax(dim=-1)


def graph(seed, nodes=8, edges=20):
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    x = torch.randn(nodes, 4, generator=generator, dtype=torch.float64)
    return Data(x=x, edge_index=ends[:, ends[0] != ends[1]])


def peer(name, **options):
    module, _, kind = POINTS[name].partition(":")
    made = getattr(importlib.import_module(module), kind)(**options)
    made.name = name
    return made


def both(name, model, data, unit):
    theirs = peer(name)
    ours = theirs.counterpart()
    return theirs.explain(model, data, unit)[0], ours.explain(model, data, unit)[0]


@pytest.mark.parametrize("name", POINTS)
def test_every_peer_stands_beside_a_method_and_names_what_it_needs(name):
    made = peer(name)
    assert isinstance(made, Peer)
    assert made.ours in explainers.available()
    assert isinstance(made.counterpart(), Method)
    assert made.describe()["description"]
    assert made.agrees_on in ("edges", "nodes")
    needed = {re.split("[<>=]", one)[0].replace("-", "_") for one in PROJECT["dependencies"]}
    assert {*made.packages} <= needed


def test_every_adapter_is_registered():
    found = set()
    for path in HOME.glob("[!_]*.py"):
        module = importlib.import_module(f"benchmarks.peers.{path.stem}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__ and not name.startswith("_")
            if own and issubclass(kind, Peer):
                found.add(f"{module.__name__}:{name}")
    assert found == {*POINTS.values()}


def test_what_the_peers_need_is_pinned():
    lines = (HOME / "constraints.txt").read_text().splitlines()
    assert "-c ../../constraints.txt" in lines
    pinned = {line.partition("==")[0] for line in lines}
    assert {re.split("[<>=]", one)[0] for one in PROJECT["dependencies"]} <= pinned


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("pyg_integrated_gradients", "pyg_saliency", "pyg_input_x_gradient"),
        *("pyg_deconvolution", "pyg_guided_backprop"),
    ],
)
def test_gradients_by_pyg_are_ours(name, graphs):
    data = Batch.from_data_list([graph(0), graph(1)]) if graphs else graph(0)
    theirs, ours = both(name, GCN(graphs=graphs), data, 1)
    torch.testing.assert_close(theirs.edge_mask, ours.edge_mask, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(theirs.node_mask, ours.node_mask, rtol=1e-6, atol=1e-9)


def test_pyg_s_pg_explainer_is_trained_as_ours():
    """Its first weights and noise are others: only that it learned, and where it was trained."""
    made = peer("pyg_pg_explainer")
    assert isinstance(made, TrainedMethod)
    model, data = GCN().float(), graph(2)
    data.x = data.x.float()  # PyG's own network is
    assert not made.fitted(model, data)
    (found,) = made.explain(model, data, 1)
    assert made.fitted(model, data)
    assert bool((found.edge_mask > 0).all())
    assert not found.node_mask.any()


def test_seeds_are_the_peer_s_own():
    model, data = GCN(), graph(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (
        peer("pyg_gnn_explainer", seed=seed).explain(model, data, 1)[0].edge_mask
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


class OfNodes(Peer):
    """Node i has i, in whatever graph."""

    masks = ("object", None)
    ours = "saliency"

    def algorithm(self, problem):
        raise NotImplementedError

    def reference(self, problem):
        scores = torch.arange(len(problem.x), dtype=torch.float64)[:, None]
        return attribution(problem, Explanation(node_mask=scores))


def test_an_edge_without_a_score_has_the_mean_of_its_ends():
    data = graph(0)
    (found,) = OfNodes().explain(GCN(), data, 1)
    ends = data.edge_index[:, found.e_id].double()
    torch.testing.assert_close(found.node_mask, found.n_id[:, None].double().expand(-1, 4))
    torch.testing.assert_close(found.edge_mask, 4 * ends.mean(dim=0))  # sums over four features


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        ("pyg_attention", GCN(), "has no layer with attention"),
        ("myerson_package", GCN(), "explains graphs only; use 'myerson'"),
        ("graph_explain_lrp", GCN(graphs=True), "explains nodes only; use 'lrp'"),
    ],
)
def test_what_a_peer_does_not_take_is_refused(name, model, words):
    data = graph(0)
    if model.graphs:
        data = Batch.from_data_list([data])
    made = peer(name)
    if name == "pyg_attention":
        made = made.counterpart()
    assert not made.supports(model, data)
    with pytest.raises(ValueError, match=words):
        made.explain(model, data, 0)


def test_shapley_values_that_take_days_are_refused():
    data = graph(0, nodes=200, edges=20)
    assert peer("pyg_shapley_sampling").supports(GCN(), graph(0))
    with pytest.raises(ValueError, match=r"about 8\d\d features and edges"):
        peer("pyg_shapley_sampling").explain(GCN(), data, 0)


def test_what_is_not_installed_is_named():
    class Needy(OfNodes):
        packages = ("torch", "no_such_package")

    made = Needy()
    made.name = "needy"
    assert missing(made) == "needy needs no_such_package, not installed here: tox -e peers has all"
    assert missing(OfNodes()) == ""


# ---------------------------------------------------------------------- those of other packages


def single(seed, biases=True):
    """Model and graph in float32, which some of them take for granted."""
    model, data = GCN(seed).float(), graph(seed)
    if not biases:
        for layer in (model.one, model.two):
            nn.init.zeros_(layer.bias)
    data.x = data.x.float()
    return model, data


def test_graph_explain_s_deep_lift_has_the_size_of_ours():
    pytest.importorskip("graph_explain", reason="runs in tox -e peers")
    theirs, ours = both("graph_explain_deep_lift", *single(0), 1)
    torch.testing.assert_close(theirs.edge_mask, ours.edge_mask.abs(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(theirs.node_mask, ours.node_mask, rtol=1e-4, atol=1e-5)


def test_graph_explain_s_lrp_is_ours_on_another_scale():
    pytest.importorskip("graph_explain", reason="runs in tox -e peers")
    model, data = single(0, biases=False)  # it leaves them out
    data.x = data.x.abs()
    theirs, ours = both("graph_explain_lrp", model, data, 1)
    scale = float(ours.edge_mask.sum() / theirs.edge_mask.sum())
    assert scale != pytest.approx(1, abs=0.01)
    torch.testing.assert_close(scale * theirs.edge_mask, ours.edge_mask, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("seed", "selected"), [(0, 0), (6, 4)])
def test_zorrito_selects_in_the_order_of_ours(seed, selected):
    pytest.importorskip("zorrito", reason="runs in tox -e peers")
    theirs, ours = both("zorrito", *single(seed, biases=False), 1)
    scores = theirs.node_mask[:, 0]
    assert int((scores > 0).sum()) == selected == int(ours.set_size)
    if selected:
        assert scores.argsort().tolist() == ours.node_mask[:, 0].argsort().tolist()


def test_the_myerson_package_gives_our_values_where_cutting_is_masking():
    """Without normalisation and biases a node that is cut out is one of zeros without messages."""
    pytest.importorskip("myerson", reason="runs in tox -e peers")

    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GCNConv(4, 2, normalize=False, add_self_loops=False, bias=False)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                nn.init.normal_(self.conv.lin.weight)
            self.double()

        def forward(self, x, edge_index, batch=None):
            return global_add_pool(self.conv(x, edge_index).relu(), batch)

    data = Batch.from_data_list([graph(0, nodes=5, edges=8)])
    config = {"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"}
    one, other = (
        method.explain(Sums(), data, 0, model_config=config)[0].node_mask.sum(dim=1)
        for method in (peer("myerson_package"), explainers.load("myerson"))
    )
    torch.testing.assert_close(one / 4, other, rtol=1e-6, atol=1e-9)


# ------------------------------------------------------------------------------- the measures


def explanation(edges, nodes=((1.0,), (2.0,))):
    return Explanation(edge_mask=torch.tensor(edges), node_mask=torch.tensor(nodes))


def test_agreement_by_hand():
    theirs, ours = explanation([1.0, -2.0, 3.0, 4.0]), explanation([2.0, 4.0, 8.0, -6.0])
    # By size: ranks 1 2 3 4 and 1 2 4 3: 1 - 6 * 2 / (4 * 15); differences 1 2 5 2.
    found = agreement(theirs, ours, "edges", signed=False)
    assert found == {"peer_difference": 5 / 8, "peer_spearman": pytest.approx(0.8)}
    # With signs: ranks 2 1 3 4 and 2 3 4 1: 1 - 6 * (4 + 1 + 9) / 60; differences 1 6 5 10.
    found = agreement(theirs, ours, "edges", signed=True)
    assert found == {"peer_difference": 10 / 8, "peer_spearman": pytest.approx(-0.4)}
    assert agreement(theirs, explanation([0.0] * 4), "edges", signed=True) == {}
    nodes = explanation([0.0], [[1.0, 1.0], [3.0, 0.0]]), explanation([0.0], [[2.0, 0.0], [4.0, 0]])
    assert agreement(*nodes, "nodes", signed=True) == {
        "peer_difference": 1 / 4,
        "peer_spearman": pytest.approx(1),
    }


def test_quick_ones_take_turns_and_long_ones_have_one():
    turns = []

    def call(name, first, later):
        def run():
            turns.append(name)
            return name, first if turns.count(name) == 1 else later

        return run

    quick = {THEIRS: call(THEIRS, 0.5, 0.1), OURS: call(OURS, 0.4, 0.2)}
    _, times = in_turn(quick)
    assert turns == [THEIRS, OURS] * (ROUNDS + 1)
    assert times == {THEIRS: [0.1] * ROUNDS, OURS: [0.2] * ROUNDS}  # the first warms up
    turns.clear()
    _, times = in_turn({THEIRS: call(THEIRS, 2 * LONG, 9), OURS: call(OURS, 0.4, 0.2)})
    assert turns.count(THEIRS) == 1
    assert times == {THEIRS: [2 * LONG], OURS: [0.2] * ROUNDS}


# ---------------------------------------------------------------------------------- the run


def test_a_run_has_both_and_says_what_is_missing(tmp_path):
    site = tmp_path / "site" / "peers-0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: peers\nVersion: 0\n")
    (site / "entry_points.txt").write_text(
        "[gnn_explainer_bench.methods]\n"
        "by_pyg = benchmarks.peers.pyg:Saliency\n"
        f"needy = {__name__.rpartition('.')[2]}_needy:Needy\n"
    )
    (tmp_path / "site" / f"{__name__.rpartition('.')[2]}_needy.py").write_text(
        "from benchmarks.peers.pyg import Saliency\n"
        "class Needy(Saliency):\n    packages = ('no_such_package',)\n"
    )
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks/", "--benchmark-only", "-q", "-rs"),
        *("--preset", "peers", "--task", "karate", "--nodes", "2", "--seeds", "1"),
        *("--method", "by_pyg", "--method", "needy", "--device", "cpu"),
        *("--results", str(tmp_path / "run"), "-p", "no:cacheprovider"),
    ]
    path = os.pathsep.join([str(tmp_path / "site"), *os.environ.get("PYTHONPATH", "").split(":")])
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "needy needs no_such_package" in done.stdout
    results = load(tmp_path / "run")
    (section,) = split(results)
    rows, times = section.of("peers")
    assert {*rows["method"]} == {"by_pyg"}
    means = rows[rows["metric"] == "fidelity+_prob"].groupby("other")["value"].mean()
    assert means[THEIRS] == pytest.approx(means[OURS])
    assert rows.loc[rows["metric"] == "peer_spearman", "value"].min() > 0.999
    assert {*times["varied"]} == {THEIRS, OURS}
    assert times.groupby("node")["seconds"].count().tolist() == [2 * ROUNDS] * 2
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert "How many times faster ours is" in report
    assert "| by_pyg | saliency |" in report


def test_a_preset_says_whether_methods_share_a_process(monkeypatch, pytester):
    asked = []
    monkeypatch.setattr(plugin.supervisor, "run", lambda *given: asked.append(given[-1]) or 0)
    monkeypatch.setattr(plugin.supervisor, "orders", lambda: None)
    monkeypatch.setattr(plugin.supervisor, "foreign_methods", lambda chosen: ["theirs"])
    for preset in ([], ["--preset", "peers"], ["--together"]):
        config = pytester.parseconfig(
            "-p", "benchmarks.harness.plugin", "--benchmark-only", *preset
        )
        config.invocation_params = pytest.Config.InvocationParams(
            args=(), plugins=None, dir=pytester.path
        )
        assert plugin.pytest_cmdline_main(config) == 0
    assert asked == [["theirs"], [], []]
