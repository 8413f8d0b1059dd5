"""``python -m benchmarks explain``."""

import json
import math
import re
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

import benchmarks.__main__ as command_line
import benchmarks.tasks
import explainers
from benchmarks.cli import explained, explained_text
from explainers import drawing

KARATE = ["explain", "--task", "karate", "--node", "16"]


@pytest.fixture(scope="module")
def karate():
    return benchmarks.tasks.load("karate")


def probability(task, node, target, mask):
    """The probability of a class where messages are multiplied by ``mask``; by PyG alone."""
    model = task.model
    set_masks(model, mask, task.data.edge_index, apply_sigmoid=False)
    try:
        with torch.no_grad():
            output = model(task.data.x, task.data.edge_index)
    finally:
        clear_masks(model)
    return float(output[node].softmax(dim=0)[target])


def fidelities(task, node, edges, target):
    """Fidelity+ and fidelity- of the edges named in the JSON of a method as drawn."""
    kept = {(edge["source"], edge["target"]) for edge in edges if edge["drawn"]}
    ends = task.data.edge_index.t().tolist()
    mask = torch.tensor([float(tuple(pair) in kept) for pair in ends])
    full, without, only = (
        probability(task, node, target, m) for m in (torch.ones_like(mask), 1 - mask, mask)
    )
    return full - without, full - only


def test_tables_and_picture(tmp_path, monkeypatch, capsys, karate):
    monkeypatch.chdir(tmp_path)
    assert command_line.main([*KARATE, "--edges", "4", "--json", "all.json"]) == 0
    assert (tmp_path / "karate-16.png").read_bytes().startswith(b"\x89PNG")
    found = {
        one["method"]: one for one in json.loads((tmp_path / "all.json").read_text())["methods"]
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("karate, node 16: ")
    assert lines[-2:] == ["picture: karate-16.png", "JSON: all.json"]
    assert list(found) == ["integrated_gradients", "gnn_explainer", "saliency"]
    for name, told in found.items():
        start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}, engine "))
        method = explainers.load(name)
        (explanation,) = method.explain(karate.model, karate.data, 16)
        drawn, fidelity = lines[start + 1 : start + 3]
        assert drawn.strip().startswith("4 of 10 edges drawn by absolute score, ")
        first = next(line for line in lines[start:] if "->" in line)
        best = int(explanation.edge_mask.abs().argmax())
        ends = explanation.n_id[explanation.edge_index[:, best]].tolist()
        assert first.split()[:3] == [str(ends[0]), "->", str(ends[1])]
        assert float(first.split()[3]) == pytest.approx(
            float(explanation.edge_mask[best]), abs=1e-4
        )
        plus, minus = fidelities(karate, 16, told["edges"], int(explanation.target))
        assert told["fidelity"]["drawn"]["fidelity+"] == pytest.approx(plus, abs=1e-5)
        assert told["fidelity"]["drawn"]["fidelity-"] == pytest.approx(minus, abs=1e-5)
        assert f"fidelity+ = {plus:.3f}, fidelity- = {minus:.3f}" in fidelity


def test_fidelity_is_that_of_the_drawn_edges_and_no_mean_over_ties(tmp_path, capsys, karate):
    """Edges 4 and 5 by degree have equal scores; metrics average over both, one is drawn."""
    arguments = ["--method", "degree", "--edges", "5", "--out", str(tmp_path / "a.svg"), "--json"]
    assert command_line.main([*KARATE, *arguments]) == 0
    record = json.loads(capsys.readouterr().out)
    (told,) = record["methods"]
    scores = sorted((edge["score"] for edge in told["edges"]), reverse=True)
    assert scores[4] == scores[5]
    plus, minus = fidelities(karate, 16, told["edges"], record["target"])
    assert told["fidelity"]["drawn"] == pytest.approx(
        {"fidelity+": plus, "fidelity-": minus}, abs=1e-5
    )


def test_the_json_has_every_score(tmp_path, capsys, karate):
    options = ["--method", "saliency", "--edges", "3", "--out", str(tmp_path / "a.svg")]
    assert command_line.main([*KARATE, *options, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)  # and nothing else is printed
    method = explainers.load("saliency")
    (explanation,) = method.explain(karate.model, karate.data, 16)
    (told,) = record["methods"]
    ends = explanation.n_id[explanation.edge_index]
    assert [edge["source"] for edge in told["edges"]] == ends[0].tolist()
    assert [edge["target"] for edge in told["edges"]] == ends[1].tolist()
    assert [edge["score"] for edge in told["edges"]] == explanation.edge_mask.tolist()
    assert sum(edge["drawn"] for edge in told["edges"]) == told["drawn"]["edges"] == 3
    assert [node["node"] for node in told["nodes"]] == explanation.n_id.tolist()
    assert [node["score"] for node in told["nodes"]] == explanation.node_mask.sum(dim=1).tolist()
    assert [one["score"] for one in told["features"]] == explanation.node_mask.sum(dim=0).tolist()
    assert record["output"] == explanation.prediction.tolist()
    assert record["probabilities"] == pytest.approx(explanation.prediction.softmax(0).tolist())
    assert (record["node"], record["target"]) == (16, int(explanation.target))
    assert record["label"] == int(karate.data.y[16])
    assert record["dataset_sha256"] == karate.dataset_sha256
    assert told["engine"] == method.engine
    assert record["versions"]["torch"] == torch.__version__
    assert told["ground_truth"] is None
    written = tmp_path / "a.json"
    assert command_line.main([*KARATE, *options, "--json", str(written)]) == 0
    assert json.loads(written.read_text()) == record


def test_all_edges_drawn_have_no_fidelity(tmp_path, capsys):
    options = ["--method", "saliency", "--edges", "10", "--out", str(tmp_path / "a.svg")]
    assert command_line.main([*KARATE, *options]) == 0
    shown = capsys.readouterr().out
    assert "all 10 edges drawn\n" in shown
    assert "with all edges drawn, fidelity is the same for every method" in shown
    assert "fidelity+" not in shown


@pytest.mark.parametrize(
    ("scores", "unit", "texts"),
    [
        ([0.25, -0.1], "", ["+0.2500", "-0.1000"]),
        ([3e-6, -1.5e-6], "(x1e-6)", ["+3.0000", "-1.5000"]),
        ([2.5e7, -1e6], "(x1e7)", ["+2.5000", "-0.1000"]),
        ([1.0, -2e-7], "", ["+1.00e+00", "-2.00e-07"]),
        ([5e-324], "", ["+4.94e-324"]),
        ([0.0], "", ["+0.0000"]),
        ([], "", []),
    ],
)
def test_scores_that_are_not_0_have_digits(scores, unit, texts):
    assert explained_text.scaled(scores) == (unit, texts)


def own_task(folder, body):
    (folder / "own.py").write_text(f"""
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = GCNConv(2, 2)
    def forward(self, x, edge_index):
        return self.conv(x, edge_index)

def f():
    edges = torch.tensor([[1, 2, 3, 0], [0, 0, 0, 1]])
    data = Data(x=torch.randn(4, 2), edge_index=edges, y=torch.tensor([0, 1, 1, 0]))
    {body}
""")
    return ["explain", "--task", f"{folder / 'own.py'}:f", "--node", "0", "--method", "saliency"]


def test_atoms_are_numbered_in_their_own_molecule():
    atoms = torch.eye(3)[[0, 2, 0, 1, 2]]
    data = Data(x=atoms, batch=torch.tensor([0, 0, 1, 0, 1]))
    task = SimpleNamespace(data=data, node_type=None, feature_names=("C", "N", "O"))
    assert explained.node_names(task) == ["C0", "O1", "C0", "N2", "O1"]


def test_names_of_classes_and_the_ground_truth(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = own_task(
        tmp_path,
        "return {'model': Net(), 'data': data, 'class_names': ['cat', 'dog'], "
        "'ground_truth': torch.tensor([True, False, False, True])}",
    )
    assert command_line.main([*command, "--edges", "2", "--json", "a.json"]) == 0
    shown, record = capsys.readouterr().out, json.loads((tmp_path / "a.json").read_text())
    name = record["class_names"][record["target"]]
    assert f"predicted class {record['target']} ({name}) with probability" in shown
    assert "labelled 0 (cat)" in shown
    assert {"0 (cat)", "1 (dog)"} < set(re.findall(r"\d \((?:cat|dog)\)", shown))
    (told,) = record["methods"]
    right = {(edge["source"], edge["target"]): edge["ground_truth"] for edge in told["edges"]}
    assert right == {(1, 0): True, (2, 0): False, (3, 0): False}
    assert set(re.findall(r"(\d -> \d) \*", shown)) == {"1 -> 0"}
    assert "* ground truth" in shown
    drawn = sum(edge["drawn"] and edge["ground_truth"] for edge in told["edges"])
    assert told["ground_truth"] == {"edges": 1, "drawn": drawn, "alternatives": 1}
    assert f"{drawn} of 1 ground-truth edges drawn" in shown


def test_a_heterogeneous_graph_is_told_and_drawn_by_type(tmp_path, monkeypatch, capsys):
    """The truth of ``hetero-motif`` is provable: author 18 is owed to paper 72, venue and term."""
    monkeypatch.chdir(tmp_path)
    pictures, real = [], drawing.compare
    monkeypatch.setattr(
        drawing, "compare", lambda *a, **o: pictures.append(real(*a, **o)) or pictures[0]
    )
    command = ["explain", "--task", "hetero-motif", "--node", "18", "--edges", "2"]
    command += ["--method", "integrated_gradients", "--json", "a.json"]
    assert command_line.main(command) == 0
    shown, record = capsys.readouterr().out, json.loads((tmp_path / "a.json").read_text())
    task = benchmarks.tasks.load("hetero-motif")
    publishes, on, written = task.data.edge_types[:3]
    venue, term = (int(task.data[kind].edge_index[0, 72]) for kind in (publishes, on))
    right = [(publishes, venue, 72), (on, term, 72), (written, 72, 18)]

    assert (record["node"], record["node_type"], record["label"]) == (18, "author", 1)
    (told,) = record["methods"]
    edges = {(tuple(one["type"]), one["source"], one["target"]): one for one in told["edges"]}
    (explanation,) = explainers.load("integrated_gradients").explain(*task.arguments(18))
    assert len(edges) == len(told["edges"]) == told["drawn"]["of"]
    for kind in task.data.edge_types:
        for e, score in zip(explanation[kind].e_id, explanation[kind].edge_mask, strict=True):
            source, target = task.data[kind].edge_index[:, e].tolist()
            one = edges.pop((kind, source, target))
            assert one["score"] == float(score)
            assert one["names"] == [f"{kind[0]} {source}", f"{kind[2]} {target}"]
            assert one["ground_truth"] == ((kind, source, target) in right)
            assert one["drawn"] == ((kind, source, target) in right[:2])
    assert not edges
    for name in task.data.node_types:
        rows = [one for one in told["nodes"] if one["type"] == name]
        mask = explanation[name].node_mask
        assert [one["node"] for one in rows] == explanation[name].n_id.tolist()
        assert [one["score"] for one in rows] == mask.sum(dim=1).tolist()
        assert [one["class"] for one in rows if "class" in one] == [1] * (name == "author")
        features = [one["score"] for one in told["features"] if one["type"] == name]
        assert features == mask.sum(dim=0).tolist()
    assert [(one["edges"], one["of"]) for one in told["drawn"]["by_type"]] == [
        *((1, 4), (1, 4), (0, 4)),
        (0, told["drawn"]["of"] - 12),
    ]
    shares = [one["share_of_absolute_scores"] for one in told["drawn"]["by_type"]]
    assert shares[0] + shares[1] == pytest.approx(told["drawn"]["share_of_absolute_scores"])
    # Without them no paper is a hit; and with them alone none has an author.
    change = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(1))
    expected = {"fidelity+": change, "fidelity-": change}
    assert told["fidelity"]["drawn"] == pytest.approx(expected, abs=1e-6)
    assert told["ground_truth"] == {"edges": 3, "drawn": 2, "alternatives": 1}

    assert shown.startswith("hetero-motif, node 18 of type author: ")
    assert "predicted class 1 (hit) with probability 0.73, labelled 1 (hit)" in shown
    assert f"venue {venue} - publishes -> paper 72 *" in shown
    assert "paper 72 - written by -> author 18 *" in shown
    assert re.search(r"paper - written by -> author +0 of 4 +24 %", shown)
    assert (tmp_path / "hetero-motif-18.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = pictures
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"paper", "venue – publishes → paper", "term – on → paper", "ground truth"} < legend
    labels = {text.get_text() for text in figure.axes[0].texts}
    assert labels == {"18", "72", str(venue), str(term)}


def test_a_method_that_does_not_explain_types_is_refused_with_the_reason(tmp_path, capsys):
    command = ["explain", "--task", "hetero-motif", "--node", "18", "--method", "lrp"]
    assert command_line.main([*command, "--out", str(tmp_path / "a.png")]) == 2
    assert "--method lrp: lrp does not support the model: lrp does not explain heterogeneous" in (
        capsys.readouterr().err
    )


def test_what_signed_scores_select_is_told_where_it_differs(tmp_path, capsys):
    """Reports select by signed score, pictures by absolute score."""
    options = ["--edges", "4", "--out", str(tmp_path / "a.svg")]
    arguments = ["--method", "integrated_gradients", "saliency", *options]
    assert command_line.main(["explain", "--task", "karate", "--node", "33", *arguments]) == 0
    signed, unsigned = capsys.readouterr().out.split("\nsaliency, engine")
    assert "the 4 edges with the highest signed scores, as reports select: fidelity+" in signed
    assert "highest signed" not in unsigned  # never negative: the same edges


@pytest.mark.parametrize(
    ("ending", "magic"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_the_same_picture_has_the_same_bytes(tmp_path, ending, magic):
    content = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.{ending}"
        assert command_line.main([*KARATE, "--method", "saliency", "--out", str(out)]) == 0
        content.append(out.read_bytes())
    assert content[0].startswith(magic)
    assert content[0] == content[1]
    assert not re.search(rb"20\d\d-\d\d-\d\d", content[0])


def test_the_seeds_reach_the_methods_and_the_model(tmp_path, capsys):
    told = []
    for options in ([], ["--seed", "1"], ["--model-seed", "1"]):
        arguments = [*KARATE, "--method", "random", "--out", str(tmp_path / "a.svg"), *options]
        assert command_line.main(arguments) == 0
        told.append(capsys.readouterr().out.splitlines())
    first, other_seed, other_model = told
    assert first[:2] == other_seed[:2]
    assert first[5:] != other_seed[5:]
    assert first[1] != other_model[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "a.jpg"], "--out a.jpg: the ending must be one of .png, .svg, .pdf; rename it"),
        (["--out", "a"], "--out a: the ending must be one of .png, .svg, .pdf; rename it"),
        (["--out", "no/a.png"], "--out no/a.png: there is no folder no; create it first"),
        (["--json", "no/a.json"], "--json no/a.json: there is no folder no; create it first"),
        (["--json", "."], "--json .: is a folder; name a file in it"),
        (["--edges", "0"], "--edges 0: must be at least 1"),
        (["--model-seed", "-1"], "--model-seed -1: must be from 0 to 2^63 - 1"),
        (["--method", "salience"], "did you mean 'saliency'?"),
        (["--task", "karata"], "did you mean 'karate'?"),
        (["--model", "gcm"], "did you mean 'gcn'?"),
        (["--node", "34"], "node 34 is out of range: the graph has nodes 0 to 33"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert command_line.main([*KARATE, *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_a_task_that_cannot_be_had(monkeypatch, capsys):
    def load(*arguments, **options):
        raise benchmarks.tasks.Unavailable("put EN.npz into data")

    monkeypatch.setattr(benchmarks.tasks, "load", load)
    assert command_line.main(["explain", "--task", "twitch-en", "--node", "0"]) == 2
    assert "--task twitch-en is unavailable: put EN.npz into data" in capsys.readouterr().err
