"""Trains the explained model, or takes the same model from an earlier run out of the cache."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import hmac
import inspect
import json
import os
import re
import secrets
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torch_geometric
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import negative_sampling
from tqdm import tqdm

from benchmarks.tasks import _hetero_models, _models
from benchmarks.tasks._definition import Recipe
from benchmarks.tasks._hetero_models import RelationalGNN
from benchmarks.tasks._models import GNN, ConcatGNN, GraphGNN, LinkGNN
from benchmarks.tasks._source import cache_dir, seeded, tensors_sha256
from explainers.prepare.computation_graph import BatchIndex


def trained(data: Data, recipe: Recipe, seed: int, name: str, kind: str = "gcn") -> Any:
    """The model of ``recipe`` trained on ``data`` with ``seed``; in eval mode and frozen.

    It is trained on the CPU, whatever device explains it later, so that a CPU run and a GPU run
    explain the same weights. The global random generators are as before afterwards.

    Args:
        data: As in :class:`benchmarks.tasks._definition.Dataset`, on the CPU; of heterogeneous data
            what :func:`benchmarks.tasks._hetero.graph_of` gives.
        recipe: Widths, optimiser and length of the training.
        seed: Of the initial weights and of dropout.
        name: The task's name, for the messages and the checkpoint's file name.
        kind: Of the layers, one of :data:`benchmarks.tasks._models.LAYERS`; without effect on
            heterogeneous data.
    """
    first = max(_widths(data).values()) if _is_hetero(data) else data.num_features
    dims = [first, *recipe.hidden]
    if "edge_label_index" not in data:  # an encoder gives embeddings, all others classes
        dims.append(int(data.y.max()) + 1)
    key = _key(data, recipe, seed, dims, kind)
    plain = re.sub(r"[^\w.-]", "-", name)  # a third party's name must not lead elsewhere
    path = cache_dir() / "checkpoints" / f"{plain}-{kind}-{key[:16]}.pt"
    with seeded(seed):
        model = _network(data, recipe, dims, kind)
        if not _restore(model, path, key):
            start = time.perf_counter()
            label = f"{name}: training {kind} {'-'.join(map(str, dims))}, seed {seed}"
            _fit(model, data, recipe, _progress(recipe.epochs, label))
            _say(f"{name}: trained in {time.perf_counter() - start:.1f} s")
            _store(model, path, key)
    return model.eval().requires_grad_(False)


def fine_tuned(model: GNN, data: Data, recipe: Recipe, seed: int, share: float) -> GNN:
    """A copy of a trained model that has learned to do with fewer edges; in eval mode and frozen.

    Its training goes on from its weights as ``recipe`` says, for a tenth of the recipe's epochs,
    and each epoch sees the graphs :func:`without_edges`. On the CPU, as :func:`trained`; the copy
    is where ``model`` is. The global random generators are as before afterwards.

    Args:
        model: One of :func:`trained`; stays as it is.
        data: What it was trained on, on any device; stays as it is.
        recipe: As in its training.
        seed: Of dropout and of the edges that are taken away.
        share: The largest share of a graph's edges that is taken away, in [0, 1].
    """
    place = next(model.parameters()).device
    whole = data.clone().to("cpu")
    with seeded(seed):
        tuned = copy.deepcopy(model).cpu().requires_grad_(True)
        seen = copy.copy(whole)  # its edges are others in each epoch
        epochs = max(1, recipe.epochs // 10)
        _fit(tuned, seen, recipe, _taking_away(seen, whole, share, epochs))
    return tuned.eval().requires_grad_(False).to(place)


def without_edges(data: Data, share: float) -> Data:
    """The data without random edges: up to ``share`` of them, each graph another number.

    A graph's edges fall with a probability that is drawn for it, evenly from 0 to ``share``; each
    direction of an edge by itself. Other attributes are those of ``data``. Draws from the global
    generator of the CPU.
    """
    graphs = data.batch[data.edge_index[0]].cpu() if "batch" in data else torch.tensor(0)
    probability = share * torch.rand(data.y.numel() if "batch" in data else 1)
    kept = torch.rand(data.edge_index.size(1)) >= probability[graphs]
    reduced = copy.copy(data)
    reduced.edge_index = data.edge_index[:, kept.to(data.edge_index.device)]
    if "edge_weight" in data:
        reduced.edge_weight = data.edge_weight[kept.to(data.edge_weight.device)]
    return reduced


def _taking_away(seen: Data, whole: Data, share: float, epochs: int) -> Iterator[int]:
    """The epochs; before each, ``seen`` gets the edges that are left of ``whole``."""
    for epoch in range(epochs):
        seen.update(without_edges(whole, share).to_dict())
        yield epoch


def _is_hetero(data: Data) -> bool:
    return isinstance(data.x, dict)


def _widths(data: Data) -> dict[str, int]:
    return {name: x.size(1) for name, x in data.x.items()}


def _network(data: Data, recipe: Recipe, dims: list[int], kind: str) -> Any:
    if _is_hetero(data):
        edge_types = list(data.edge_index)
        return RelationalGNN(_widths(data), edge_types, dims[1:], data.node_type, recipe.dropout)
    options: dict[str, Any] = {"normalize": recipe.normalize}
    if "batch" in data:
        return GraphGNN(dims, recipe.dropout, kind, readout=recipe.readout, **options)
    if "edge_label_index" in data:
        return LinkGNN(dims, recipe.dropout, kind, **options)
    network = ConcatGNN if recipe.concatenate else GNN
    return network(dims, recipe.dropout, kind, **options)


def accuracy(model: GNN, data: Data) -> float:
    """Share of the nodes, graphs or links in ``data.test_mask`` predicted right, in [0, 1]."""
    with torch.no_grad():
        right = _output(model, data).argmax(dim=-1) == data.y
    return float(right[data.test_mask].double().mean())


def _output(model: GNN, data: Data) -> Tensor:
    names = ("batch", "edge_label_index", "edge_weight")
    keywords = {name: data[name] for name in names if name in data}
    return model(data.x, data.edge_index, **keywords)


def _fit(model: GNN, data: Data, recipe: Recipe, epochs: Iterable[int]) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    model.train()
    with torch.enable_grad():
        for _ in epochs:
            for part in _parts(data, recipe.batch_size):
                optimizer.zero_grad()
                out = _output(model, part)
                F.nll_loss(out[part.train_mask], part.y[part.train_mask]).backward()
                optimizer.step()


def _parts(data: Data, batch_size: int | None) -> Iterator[Data]:
    """What the steps of one epoch see: all, or the graphs to train on in random mini-batches.

    Or the links to train on, and as many pairs without an edge, drawn anew.
    """
    if "edge_label_index" in data:
        links = data.edge_label_index[:, data.train_mask]
        pairs = negative_sampling(data.edge_index, data.num_nodes, links.size(1), method="sparse")
        yield Data(
            x=data.x,
            edge_index=data.edge_index,
            edge_label_index=torch.cat([links, pairs], dim=1),
            y=(torch.arange(links.size(1) + pairs.size(1)) < links.size(1)).long(),
            train_mask=torch.ones(links.size(1) + pairs.size(1), dtype=torch.bool),
        )
        return
    if batch_size is None:
        yield data
        return
    graphs = BatchIndex(data.edge_index, data.batch)
    training = data.train_mask.nonzero().view(-1)
    for chosen in training[torch.randperm(len(training))].split(batch_size):
        cut = graphs.cut(chosen)
        weight = {"edge_weight": data.edge_weight[cut.e_id]} if "edge_weight" in data else {}
        yield Data(
            x=data.x[cut.n_id],
            edge_index=cut.edge_index,
            batch=cut.node_batch,
            y=data.y[chosen],
            train_mask=data.train_mask[chosen],
            **weight,
        )


def _key(data: Data, recipe: Recipe, seed: int, dims: list[int], kind: str) -> str:
    """SHA-256 of everything that determines the weights, the code that makes them included."""
    options = dataclasses.asdict(recipe)
    del options["source"]
    made_of = [
        k
        for k in ("x", "edge_index", "edge_weight", "batch", "edge_label_index", "y", "train_mask")
        if k in data
    ]
    tensors: dict[str, Any] = {k: data[k] for k in made_of}
    code: list[Any] = [_models, _fit, _parts, _output]
    if _is_hetero(data):
        for name in ("x", "edge_index"):
            tensors |= {f"{name} of {of}": one for of, one in tensors.pop(name).items()}
        code[0] = _hetero_models
    made_from = {
        "recipe": options,
        "kind": kind,
        "seed": seed,
        "dims": dims,
        "data": tensors_sha256(tensors),
        "code": [inspect.getsource(part) for part in code],
        "versions": [torch.__version__, torch_geometric.__version__],
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _restore(model: GNN, path: Path, key: str) -> bool:
    """Loads the weights at ``path`` into ``model``; False if there are none or broken ones."""
    if not path.is_file():
        return False
    try:
        # weights_only: a checkpoint is data, and must not be able to run code.
        kept = torch.load(path, map_location="cpu", weights_only=True)
        weights = kept["weights"]
        # torch.load does not notice a flipped bit, and load_state_dict would leave a model behind
        # that is half overwritten. Nor is any file by this name the one that was trained here.
        if not hmac.compare_digest(_signature(weights, key), kept["signature"]) or _shapes(
            weights
        ) != _shapes(model.state_dict()):
            raise ValueError("not the weights that were trained here")
        model.load_state_dict(weights)
    # A damaged file fails in many ways (zip, pickle, missing keys); none is worth stopping for.
    except Exception as error:
        warnings.warn(
            f"the checkpoint {path} is damaged ({type(error).__name__}); training again",
            stacklevel=2,
        )
        return False
    return True


def _signature(weights: Mapping[str, Tensor], key: str) -> str:
    """What only this cache's owner can say of weights and of what they were trained from."""
    return hmac.digest(_secret(), f"{key} {tensors_sha256(weights)}".encode(), "sha256").hex()


def _secret() -> bytes:
    """Of this cache: random bytes in a file that only its owner can read; made at first use."""
    path = cache_dir() / "secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-") as file:  # mode 0600
            file.write(secrets.token_bytes(32))
            file.flush()
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(file.name, path)
    return path.read_bytes()


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _store(model: GNN, path: Path, key: str) -> None:
    """Writes the weights to ``path`` in one step: a reader sees a whole file or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as file:
            try:
                weights = model.state_dict()
                torch.save({"weights": weights, "signature": _signature(weights, key)}, file)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
    # torch.save turns a full disk into a RuntimeError.
    except (OSError, RuntimeError) as error:
        warnings.warn(f"the checkpoint {path} cannot be kept ({error})", stacklevel=2)


def _progress(epochs: int, label: str) -> Iterable[int]:
    """The epochs: a bar on a terminal, one line in a log file."""
    if sys.stderr.isatty():
        return tqdm(range(epochs), desc=label, unit="epoch", leave=False)
    _say(f"{label}, {epochs} epochs")
    return range(epochs)


def _say(message: str) -> None:
    # tqdm's own switch silences these lines too.
    if not os.environ.get("TQDM_DISABLE"):
        print(message, file=sys.stderr)
