"""Looks at what a model does with a graph, in a few passes, before anything is explained.

Besides the user's own run these are: a pass of the private copy, which must give the same outputs
and shows which edges each layer is given; one in which the features and messages of a few nodes are
changed, which must leave alone whoever gets no message from them; and three on a few edges: with
gradients, and whether a copy beside them changes anything. Only where a graph has self loops, or a
model rewrites its edges, one more.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from explainers.prepare import layers as known
from explainers.prepare.copies import ModelCopy, others_refused
from explainers.prepare.edge_maps import (
    ALONE,
    Call,
    EdgeMap,
    Sum,
    candidates,
    explain_misfit,
    fitting,
    recorded,
    same_sums,
    summed,
)
from explainers.prepare.outputs import alike, distance

if TYPE_CHECKING:
    from explainers.prepare.model import PreparedModel

TRIED = 32  # edges on which gradients are tried
_SEED = 0


@dataclass
class Norms:
    """What the GCNConv layers of a model computed for its graph, by the layers' numbers.

    Attributes:
        edges: The normalised weights of the edges that are explained [E'].
        loops: Those of the layers' own self loops, [N] or [0].
        weights: What was normalised, likewise.
        known: Whether these are all the data's own weights, or none.
        differing: A layer that is called with different weights in one pass, or None.
    """

    normalised: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    weights: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    known: bool = True
    differing: int | None = None


def look_at_calls(prepared: PreparedModel) -> tuple[list[list[EdgeMap]], list[Call], list[Sum]]:
    """Of each layer, for each time it sends messages, which edges those are of; and the calls.

    Where links are predicted, also what the messages add up to.

    Raises:
        ValueError: The private copy gives other outputs than the user's model, the model has no
            layer that sends messages, or a layer's messages belong to no edges of the data.
    """
    edge_index, inputs = prepared.given
    with prepared.borrowed() as copy:
        for layer in copy.layers:
            if layer.flow != "source_to_target":
                raise ValueError(
                    f"layer {type(layer).__name__} of model {prepared.name} has "
                    f"flow={layer.flow!r}; only 'source_to_target' can be explained: turn "
                    "edge_index around instead"
                )
        own = others_refused(copy, prepared.name)
        nothing: list[Sum] = []
        sums_of: AbstractContextManager[list[Sum]]
        sums_of = nullcontext(nothing) if prepared.links is None else summed(copy)
        before = _held(copy)
        with torch.no_grad(), own, recorded(copy, edge_index) as calls, sums_of as sums:
            output = copy.run(prepared.x, edge_index, prepared.with_batch(inputs))
        _check_same(prepared, output)
        if _held(copy) != before:
            _check_again(prepared, copy)
        maps = _edge_maps(prepared, copy, calls)
    return maps, calls, sums


def _held(copy: ModelCopy) -> list[object]:
    """What tells that a model keeps something else than before a pass: objects, and how many."""
    return [
        (id(value), len(value) if isinstance(value, (dict, list, set)) else 0)
        for part in copy.model.modules()
        for name, value in vars(part).items()
        if name not in ("_parameters", "_buffers", "_modules")
    ]


def _check_again(prepared: PreparedModel, copy: ModelCopy) -> None:
    """Runs a copy that has kept something of its first pass: it must do the same again.

    Raises:
        ValueError: Its layers send messages more or fewer times, or its outputs are others.
    """
    first, (edge_index, inputs) = copy.calls, prepared.given
    with torch.no_grad():
        output = copy.run(prepared.x, edge_index, prepared.with_batch(inputs))
    if copy.calls != first or not alike(output, prepared.output):
        raise ValueError(
            f"model {prepared.name} does something else in a second pass than in the first: it "
            "counts its calls, or keeps results of an earlier one whatever its inputs are then; "
            "have forward compute all of them anew"
        )


def check_copy(prepared: PreparedModel) -> bool:
    """Runs the private copy for other links than those that it was looked at with.

    Returns:
        Whether the layers' messages are what they were then: if not, they depend on the links.

    Raises:
        ValueError: It gives other outputs than the user's model.
    """
    edge_index, inputs = prepared.given
    with prepared.borrowed() as copy, torch.no_grad(), summed(copy) as sums:
        _check_same(prepared, copy.run(prepared.x, edge_index, prepared.with_batch(inputs)))
    return same_sums(sums, prepared.sums)


def _check_same(prepared: PreparedModel, output: Tensor) -> None:
    if output.shape == prepared.output.shape and alike(output, prepared.output):
        return
    raise ValueError(
        f"a private copy of model {prepared.name} gives other outputs than the model itself, by "
        f"{distance(output, prepared.output)}: it depends on something that copy.deepcopy does "
        "not copy, or on a graph that a convolution has cached; call reset_parameters() or make "
        "the layers with cached=False, and keep no references from outside"
    )


def random_state(device: torch.device) -> list[object]:
    """The states of the generators that a model may draw from."""
    states: list[object] = [torch.get_rng_state().tolist(), random.getstate()]
    legacy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002  # a model may draw from it
    states += [legacy["key"].tolist(), legacy["pos"]]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device).tolist())
    return states


def _edge_maps(prepared: PreparedModel, copy: ModelCopy, calls: list[Call]) -> list[list[EdgeMap]]:
    edge_index, inputs = prepared.given
    nodes, types = prepared.num_nodes, known.edge_type(inputs)
    turns = [0] * len(copy.layers)
    fits = []
    for call in calls:
        layer = copy.layers[call.layer]
        relations = int(getattr(layer, "num_relations", 0)) if types is not None else 0
        maps = list(candidates(call, turns[call.layer], relations))
        turns[call.layer] += 1
        found = fitting(call, maps, edge_index, nodes, types)
        if not found and layer.explain is not False:
            raise ValueError(explain_misfit(layer, call, edge_index))
        fits.append(found)
    # Given as they are, and only one map gives these edges: nothing else can be meant.
    if not all(call.given and len(found) == 1 for call, found in zip(calls, fits, strict=True)):
        fits = _after_deletion(prepared, copy, calls, fits)
    result: list[list[EdgeMap]] = [[] for _ in copy.layers]
    for call, found in zip(calls, fits, strict=True):
        result[call.layer].append(found[0] if found else EdgeMap())
    return result


def _after_deletion(
    prepared: PreparedModel, copy: ModelCopy, calls: list[Call], fits: list[list[EdgeMap]]
) -> list[list[EdgeMap]]:
    """Those that also fit once about half of the edges are gone."""
    edge_index, inputs = prepared.given
    generator = torch.Generator().manual_seed(_SEED)
    kept = torch.rand(edge_index.size(1), generator=generator).to(edge_index.device) < 0.5
    if kept.all():
        kept[:1] = False  # of few edges, or all would fit as before
    left = edge_index[:, kept]
    rest = {name: value[kept] for name, value in inputs.items()}
    types, nodes = known.edge_type(rest), prepared.num_nodes
    try:
        with torch.no_grad(), recorded(copy, left) as again:
            copy.run(prepared.x, left, prepared.with_batch(rest))
    except Exception as error:
        raise ValueError(
            f"model {prepared.name} changes its edges before a layer sees them, and fails on a "
            f"graph with fewer ({error}): which scores belong to which edges cannot be verified; "
            "change the edges before the model is called"
        ) from error
    if [call.layer for call in again] != [call.layer for call in calls]:
        again = []
    result = []
    for number, (call, found) in enumerate(zip(calls, fits, strict=True)):
        layer = copy.layers[call.layer]
        still = fitting(again[number], found, left, nodes, types) if again else []
        if not still and layer.explain is not False:
            raise ValueError(explain_misfit(layer, call, edge_index))
        result.append(still)
    return result


def own_loops(prepared: PreparedModel) -> bool:
    """Whether the graph has self loops and the layers replace them by their own.

    Raises:
        ValueError: Some do, others do not.
    """
    edge_index = prepared.given[0]
    loops = int((edge_index[0] == edge_index[1]).sum())
    own = [any(one.loops for one in turns) for turns in prepared.maps if turns]
    if any(own) and not all(own) and loops:
        raise ValueError(
            f"edge_index has {loops} self loops, which some of the model's layers replace by "
            "their own (add_self_loops=True) and others do not: a mask over the edges would mean "
            "different edges in different layers; remove the loops with "
            "torch_geometric.utils.remove_self_loops"
        )
    return any(own) and loops > 0


def norms(prepared: PreparedModel, calls: list[Call]) -> Norms:
    """What the GCNConv layers computed; ``prepared.e_id`` says which edges are explained."""
    edge_index, inputs = prepared.given
    types = known.edge_type(inputs)
    found, turns = Norms(), [0] * len(prepared.maps)
    for call in calls:
        layer = prepared.layers[call.layer]
        one = prepared.maps[call.layer][turns[call.layer]]
        turns[call.layer] += 1
        if not known.is_normalised(layer) or call.norm is None:
            continue
        positions = one.positions(edge_index, prepared.num_nodes, types)
        edges = call.norm.new_zeros(edge_index.size(1))
        of_edge = positions != ALONE
        edges[positions[of_edge]] = call.norm[of_edge]
        edges = edges if prepared.e_id is None else edges[prepared.e_id]
        loops = call.norm[~of_edge]
        if call.layer in found.normalised:
            before = found.normalised[call.layer]
            if not (torch.equal(before[0], edges) and torch.equal(before[1], loops)):
                found.differing = call.layer
            continue
        found.normalised[call.layer] = _shared(edges, loops, found.normalised.values())
        given, weight = inputs.get("edge_weight"), call.weight
        same = given is not None and weight is not None and weight.data_ptr() == given.data_ptr()
        if not call.given or (weight is not None and not same):
            found.known = False
            continue
        weight = None if weight is None else weight.detach().view(-1)
        found.weights[call.layer] = known.raw_weights(layer, edge_index, weight, prepared.x)
    return found


def _shared(
    edges: Tensor, loops: Tensor, others: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """A layer's norms; if another's are equal, those: what is made of them is then made once."""
    for one in others:
        if torch.equal(one[0], edges) and torch.equal(one[1], loops):
            return one
    return edges, loops


def same_without_loops(prepared: PreparedModel) -> bool:
    """Whether the outputs stay if the graph's own self loops go, but not from the norms."""
    with prepared.borrowed() as copy, torch.no_grad():
        output = copy.run(
            prepared.x, prepared.edge_index, prepared.keywords, norms=prepared.norms()
        )
    return alike(output, prepared.output)


def check_independence(prepared: PreparedModel) -> None:
    """A graph's output must be its own, and a link's: what else would its explanation be of?

    Raises:
        ValueError: The model mixes the graphs of the batch, or the links.
    """
    if prepared.links is not None:
        _check_links(prepared, prepared.links)
        return
    assert prepared.batch is not None
    edge_index, inputs = prepared.given
    nodes = prepared.batch == 0
    edges = nodes[edge_index[0]]
    place = nodes.cumsum(0) - 1
    keywords = {name: value[edges] for name, value in inputs.items()}
    keywords["batch"] = torch.zeros_like(prepared.batch[nodes])
    with prepared.borrowed() as copy, torch.no_grad():
        alone = copy.run(prepared.x[nodes], place[edge_index[:, edges]], keywords)[0]
    here = prepared.output[0]
    wrong = "" if alike(alone, here) else f"graph 0 {distance(alone, here)}"
    wrong = wrong or prepared.beyond
    if wrong:
        raise ValueError(
            f"model {prepared.name} gives a graph of the batch another output if the others are "
            f"gone or others ({wrong}): some layer mixes the graphs; hand batch on to every layer "
            "that normalises or pools, or explain a batch of one graph"
        )


def _check_links(prepared: PreparedModel, links: Tensor) -> None:
    edge_index, inputs = prepared.given
    for unit in (0, links.size(1) - 1):
        one = {**inputs, "edge_label_index": links[:, unit : unit + 1]}
        with prepared.borrowed() as copy, torch.no_grad():
            alone = copy.run(prepared.x, edge_index, one)
        here = prepared.output[unit : unit + 1]
        if not alike(alone, here, prepared.typical):
            raise ValueError(
                f"model {prepared.name} gives link {unit} ({links[:, unit].tolist()}) another "
                f"output if it is asked for it alone, by {distance(alone, here)}: it mixes the "
                "links of edge_label_index; explain a model that predicts each for itself"
            )


@dataclass(frozen=True)
class Trial:
    """What a small pass with gradients showed.

    Attributes:
        features: Whether the outputs can be differentiated by the features.
        error: Why gradients cannot be had at all, or ``""``.
        learned_weights: Whether a GCNConv's edge weights depend on the features.
    """

    features: bool
    error: str = ""
    learned_weights: bool = False


def few_edges(prepared: PreparedModel) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Features, edges and keyword inputs of a small part of the graph, to try something on."""
    edge_index = prepared.edge_index
    edges = torch.arange(min(TRIED, edge_index.size(1)), device=edge_index.device)
    nodes = torch.cat([edge_index[:, edges].flatten(), edges.new_zeros(1)]).unique()
    inputs = {name: value[edges] for name, value in prepared.inputs.items()}
    if prepared.batch is not None:
        inputs["batch"] = torch.zeros_like(nodes)
    if prepared.links is not None:  # each of the nodes is an end
        number = torch.arange(len(nodes), device=nodes.device)
        inputs["edge_label_index"] = torch.stack([number, number.flip(0)])
    return prepared.x[nodes], torch.searchsorted(nodes, edge_index[:, edges]), inputs


def try_gradients(prepared: PreparedModel) -> Trial:
    """Differentiates the outputs on a few edges of the graph, or on all of it if that fails."""
    found = _differentiate(prepared, *few_edges(prepared))
    if found.error:  # perhaps the model is made for this number of nodes
        given, inputs = prepared.given
        found = _differentiate(prepared, prepared.x, given, prepared.with_batch(inputs))
    return found


def _differentiate(
    prepared: PreparedModel, x: Tensor, edge_index: Tensor, keywords: dict[str, Tensor]
) -> Trial:
    floating = x.is_floating_point()
    x = x.detach().clone().requires_grad_(floating)
    mask = prepared.output.new_ones(edge_index.size(1)).requires_grad_()
    try:
        with torch.enable_grad(), prepared.borrowed() as copy:
            masks = prepared.masks(mask, edge_index, known.edge_type(keywords), len(x))
            with recorded(copy, edge_index) as calls:
                output = copy.run(x, edge_index, keywords, masks)
            wanted = (x, mask) if floating else (mask,)
            found: tuple[Tensor | None, ...] = torch.autograd.grad(
                output.double().square().sum(), wanted, allow_unused=True
            )
    except Exception as error:
        return Trial(floating, error=f"{type(error).__name__}: {' '.join(str(error).split())}")
    learned = any(call.weight is not None and call.weight.requires_grad for call in calls)
    features = floating and found[0] is not None
    if edge_index.size(1) and found[-1] is None:
        return Trial(features, "no gradient reaches the messages of its layers")
    return Trial(features, learned_weights=learned)
