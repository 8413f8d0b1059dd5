"""A user's own model and data; ``docs/own-model.md`` is run as it is written."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.nn import GCN

import benchmarks.__main__ as command_line
import benchmarks.tasks
import explainers
from benchmarks.harness.options import make_plan
from benchmarks.tasks import _user_task

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "own-model.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL))
COMMANDS = re.findall(r"^    (python -m benchmarks .*|pytest .*)$", PAGE, flags=re.MULTILINE)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The page's files, in the working folder."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_user_task, "_REGISTERED", {})
    return tmp_path


def write(**lines):
    """A file with functions that return the given expressions."""
    head = """
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN
torch.manual_seed(0)
data = Data(
    x=torch.eye(3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), y=torch.tensor([0, 1, 0])
)
model = GCN(3, 4, num_layers=2, out_channels=2)
"""
    body = "".join(f"def {name}():\n    return {value}\n" for name, value in lines.items())
    Path("own.py").write_text(head + body)


def test_the_page_has_files_and_commands():
    assert set(FILES) == {"own_model.py", "own_data.py", "own_outputs.py"}
    assert len(COMMANDS) == 7


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("python")])
def test_the_pages_commands(folder, capsys, command):
    words = command.split()[3:]
    assert command_line.main(words) == 0
    name = re.match(r"[^:]*", capsys.readouterr().out).group().partition(",")[0]
    assert re.fullmatch(r"(trained|clubs|member|friends|density|labels)-[0-9a-f]{8}", name)
    assert [path.name for path in folder.glob("*.png")] == [f"{name}-{words[-1]}.png"]


def test_a_run_on_the_pages_model(folder):
    """The published files say which model it was, and nothing of where it lay."""
    (command,) = (line for line in COMMANDS if line.startswith("pytest"))
    options = command.replace("own_model.py", f"{folder}/own_model.py").split()[2:]
    options += ["--method", "saliency", "--no-baselines", "--results", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks/test_quality.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    cells = [json.loads(path.read_text()) for path in (folder / "out" / "cells").glob("*.json")]
    (name,) = {cell["config"]["task"] for cell in cells}
    assert re.fullmatch(r"trained-[0-9a-f]{8}", name)
    assert cells[0]["inputs"]["nodes"] == [0, 16, 33]
    for path in (folder / "out").rglob("*.*"):
        if path.suffix in (".json", ".csv", ".md", ".html"):
            assert str(folder) not in path.read_text()
    (entry,) = json.loads((folder / "out" / "manifest.json").read_text())["tasks"]
    assert entry["provenance"] == "the user's own model and data, own_model.py:trained"


def test_the_task_is_the_users_model():
    task = benchmarks.tasks.load("own_model.py:trained")
    assert task.nodes.tolist() == [0, 16, 33]
    assert isinstance(task.model, GCN)
    assert not task.model.training
    assert not any(parameter.requires_grad for parameter in task.model.parameters())
    right = task.model(task.data.x, task.data.edge_index).argmax(dim=1) == task.data.y
    assert task.accuracy == pytest.approx(float(right.double().mean()))
    assert task.description == "Zachary's karate club, a model trained elsewhere."
    again = benchmarks.tasks.load(task.name)
    assert again.checkpoint_sha256 == task.checkpoint_sha256
    assert again.model is not task.model  # what one call changes, the next does not see


def test_checksums_tell_data_and_weights_apart():
    write(
        one="{'model': model, 'data': data}",
        two="{'model': model, 'data': data, 'ground_truth': torch.tensor([True, False, False])}",
        three="{'model': GCN(3, 4, num_layers=2, out_channels=2), 'data': data}",
    )
    one, two, three = (benchmarks.tasks.load(f"own.py:{name}") for name in ("one", "two", "three"))
    assert one.checkpoint_sha256 == two.checkpoint_sha256 != three.checkpoint_sha256
    assert one.dataset_sha256 == three.dataset_sha256 != two.dataset_sha256
    assert torch.equal(two.ground_truth, torch.tensor([True, False, False]))
    assert sorted(one.nodes.tolist()) == [0, 1, 2]


def test_a_definition_is_trained_for_each_seed():
    one, two = (benchmarks.tasks.load("own_data.py:clubs", seed=seed) for seed in (0, 1))
    assert one.name == two.name
    assert one.checkpoint_sha256 != two.checkpoint_sha256
    assert make_plan(tasks=["own_data.py:clubs"], profile="full").seeds == 2


def test_another_file_is_another_task_wherever_it_lies(folder):
    name = benchmarks.tasks.resolve("own_model.py:trained")
    (folder / "sub").mkdir()
    copy = folder / "sub" / "other.py"
    copy.write_text(FILES["own_model.py"])
    assert benchmarks.tasks.resolve(f"{copy}:trained") == name
    copy.write_text(FILES["own_model.py"] + "# changed\n")
    assert benchmarks.tasks.resolve(f"{copy}:trained") != name


def test_a_file_imports_its_neighbours(folder):
    write(f="{'model': model, 'data': data}")
    (folder / "sub").mkdir()
    Path("own.py").rename(folder / "sub" / "neighbour_of_own.py")
    (folder / "sub" / "own.py").write_text("from neighbour_of_own import f\n")
    assert benchmarks.tasks.load("sub/own.py:f").data.num_nodes == 3


def test_graphs_are_explained_and_drawn_whole(folder, capsys):
    Path("own.py").write_text("""
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCNConv, global_mean_pool


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = GCNConv(3, 2)

    def forward(self, x, edge_index, batch):
        return global_mean_pool(self.conv(x, edge_index), batch)


def graphs():
    ring = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), y=0)
    path = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1], [1, 2]]), y=1)
    data = Batch.from_data_list([ring, path])
    return {"model": Pooled(), "data": data, "feature_names": ["C", "N", "O"],
            "class_names": ["ring", "path"]}
""")
    task = benchmarks.tasks.load("own.py:graphs")
    assert sorted(task.nodes.tolist()) == [0, 1]
    arguments = ["explain", "--task", "own.py:graphs", "--graph", "1", "--method", "saliency"]
    assert command_line.main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"{task.name}, graph 1: " in shown
    assert re.search(r"predicted class \d \((ring|path)\) .*, labelled 1 \(path\);", shown)
    assert "all 2 edges drawn" in shown
    assert {"C0 -> N1", "N1 -> O2"} == set(re.findall(r"\w+ -> \w+", shown))
    (heading,) = re.findall(r".*edge .*", shown)
    features = [line[heading.index("feature") :].split() for line in shown.splitlines()]
    assert {"C", "N", "O"} >= {words[0] for words in features[7:10] if words} > set()
    assert len(list(folder.glob("*.png"))) == 1


def test_one_model_has_one_seed():
    with pytest.raises(
        ValueError, match=r"--task own_model\.py:trained: brings one trained model, but 2"
    ):
        make_plan(tasks=["own_model.py:trained"], profile="full")
    assert make_plan(tasks=["own_model.py:trained"], profile="full", seeds=1).seeds == 1
    with pytest.raises(ValueError, match="model seed 1: the task trained-"):
        benchmarks.tasks.load("own_model.py:trained", seed=1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_model.py", "write it as path/to/file.py:function"),
        ("no.py:f", "there is no file no.py; check the path"),
        ("own_model.py:train", "has no 'train', or it gives None; it has the functions trained"),
    ],
)
def test_bad_names(spec, message):
    with pytest.raises(ValueError) as caught:
        make_plan(tasks=[spec])
    assert str(caught.value).startswith(f"--task {spec}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("(model, data)", "gives a tuple; it must be a Definition, or a dict with 'model'"),
        ("{'model': model}", "gives a dict with model; it must be a Definition, or a dict"),
        ("{'model': model, 'data': data, 'node': 1}", "a dict with model, data, node; it must be"),
        ("{'model': 3, 'data': data}", "'model' is a int; it must be a torch.nn"),
        (
            "{'model': model, 'data': [data]}",
            "'data' is a list; it must be a torch_geometric.data",
        ),
        ("{'model': torch.nn.Linear(3, 2), 'data': data}", "--task own.py:f: "),
        (
            "{'model': model, 'data': Data(x=data.x, edge_index=data.edge_index)}",
            "data.y must be torch.int64 [3], got NoneType; without labels, give the model's",
        ),
        (
            "{'model': model, 'data': data, 'nodes': [3]}",
            "nodes names 3 to 3, but there are 0 to 2",
        ),
        ("{'model': model, 'data': data, 'nodes': [0, 2, 2]}", "nodes names 2 more than once"),
        ("{'model': model, 'data': data, 'nodes': [0.5]}", "nodes must be torch.int64 [n], got"),
        ("{'model': model, 'data': data, 'nodes': []}", "nodes must be torch.int64 [n], got"),
        (
            "{'model': model, 'data': data, 'ground_truth': torch.ones(2).bool()}",
            "ground_truth must be torch.bool [3], got torch.bool [2]",
        ),
        (
            "{'model': model, 'data': data, 'feature_names': ['C']}",
            "feature_names are 1, but data.x has 3 features; name each, or none",
        ),
        (
            "{'model': model, 'data': data, 'class_names': ['a', 'b', 'c', 'd', 'e']}",
            "class_names are 5, but the model tells",
        ),
        ("1 / 0", "ZeroDivisionError in own.py, line 11: division by zero; mend the file"),
    ],
)
def test_bad_values(value, message):
    write(f=value)
    with pytest.raises(ValueError) as caught:
        benchmarks.tasks.resolve("own.py:f")
    assert message in str(caught.value)
    assert str(caught.value).startswith("--task own.py:f: ")


HEAD = """
one, two = GCN(3, 4, num_layers=2, out_channels=1), model
def made(model, y=data.y, mode=None, return_type="raw", **more):
    graph = data.clone()
    graph.y = y
    if mode is not None:
        more["model_config"] = {"mode": mode, "return_type": return_type}
    return {"model": model, "data": graph, **more}
real, yes = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.0, 1.0, 0.0])
BINARY, REGRESSION = "binary_classification", "regression"
"""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("made(one, yes)", "the model returns one column, which may be a probability"),
        (
            "made(one, real, BINARY)",
            "data.y must be 0 or 1 [3] or [3, 1] for model_config mode 'binary_classification', "
            "but has 0.5",
        ),
        ("made(two, yes, BINARY)", "data.y must be 0 or 1 [3, 2] for model_config mode"),
        (
            "made(one, data.y, REGRESSION)",
            "data.y must be real numbers [3] or [3, 1] for model_config mode 'regression', got "
            "torch.int64 [3]",
        ),
        ("made(one, real / 0, REGRESSION)", "data.y has NaN or infinite numbers"),
        ("made(two, real, REGRESSION)", "data.y must be real numbers [3, 2] for model_config"),
        (
            "made(two, torch.rand(3, 2), REGRESSION)",
            "the model returns 2 real numbers for each node; add 'target', the number of",
        ),
        (
            "made(two, torch.rand(3, 2), REGRESSION, target=2)",
            "'target' names the columns 2 to 2, but the model returns 0 to 1",
        ),
        (
            "made(two, torch.rand(3, 2), REGRESSION, target=[0, 1])",
            "'target' must be a whole number, or torch.int64 [3], one for each node, got [0, 1]",
        ),
        ("made(two, torch.rand(3, 2), REGRESSION, target=0.5)", "'target' must be a whole number"),
        ("made(two, target=1)", "of a multiclass classification the predicted class is explained"),
        ("made(two, yes)", "data.y must be torch.int64 [3], got torch.float32 [3]; without labels"),
        (
            "made(one, data.y, 'multiclass_classification')",
            "but the model returns one column; use mode='binary_classification' or 'regression'",
        ),
        ("made(one, yes, BINARY, 'log_probs')", "model_config {'mode': 'binary_classification'"),
        (
            "{**made(one, real), 'model_config': 'regression'}",
            "'model_config' is a str; it must be a torch_geometric.explain.ModelConfig or a dict",
        ),
    ],
)
def test_outputs_that_do_not_fit(value, message):
    write(f=value)
    content = Path("own.py").read_text().replace("def f():", f"{HEAD}def f():")
    Path("own.py").write_text(content)
    with pytest.raises(ValueError) as caught:
        benchmarks.tasks.resolve("own.py:f")
    assert message in str(caught.value)
    assert str(caught.value).startswith("--task own.py:f: ")


def test_the_target_of_each_node():
    write(f="made(two, torch.rand(3, 2), REGRESSION, target=torch.tensor([0, 1, 1]))")
    content = Path("own.py").read_text().replace("def f():", f"{HEAD}def f():")
    Path("own.py").write_text(content)
    task = benchmarks.tasks.load("own.py:f")
    assert task.targets([2, 0]) == [1, 0]
    assert task.targets(1) == [1]
    method = explainers.load("saliency")
    found = method.explain(*task.arguments([2, 0]))
    assert [int(one.target) for one in found] == [1, 0]
    assert task.mode == "regression"
    assert task.accuracy_kind == "R²"
