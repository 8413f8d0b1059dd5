"""What all methods share: options, input checks, the choice of an engine, the way through it."""

# long: the way of one call, from its arguments to its explanations
from __future__ import annotations

import copy
import dataclasses
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.explain import Explanation, ModelConfig

from explainers._names import did_you_mean
from explainers.engines import registry
from explainers.engines.base import (
    Attribution,
    Engine,
    NotTheModel,
    Problem,
    ReferenceProblem,
    Stale,
)
from explainers.engines.memory import is_out_of_memory, note_split, smaller
from explainers.methods._arguments import Nodes, chosen_nodes, nodes_of_type, targets_of
from explainers.methods._links import left_out
from explainers.prepare import PreparedModel, forget, prepare
from explainers.prepare.outputs import FORMS, form

MASK_TYPES = ("node_and_edge", "edge", "node")
# What an explanation over several seeds has.
_OF_ALL_SEEDS = {
    *("n_id", "e_id", "edge_index", "index", "graph", "link", "edge_label_index"),
    *("target", "prediction"),
    *("node_mask", "edge_mask", "node_mask_std", "edge_mask_std"),
    *("convergence_delta", "converged", "collapsed"),
}

# Model and graph, nodes [R], and the target of each [R].
_Asked = tuple[PreparedModel, Tensor, Tensor]


@dataclass(kw_only=True)
class Method(ABC):
    """A method that scores the edges and node features behind a prediction.

    What is predicted is a class or number of a node, a graph or a link.

    A subclass is a dataclass whose fields are its options, states the class variables below, and
    writes :meth:`attribute`. Its module says ``METHOD = <the class>``.

    Args:
        engine: The engine that has to run, or None for the fastest that supports the model.
        memory_budget: Bytes that one pass through the model may take, roughly; sets how many
            nodes and variants share a pass.
        mask_type: What is attributed, as in PyG's ``to_captum_model``: ``"node_and_edge"``,
            ``"edge"`` or ``"node"``. What is not keeps its value throughout and gets scores of
            zero. Features by which the model cannot be differentiated, such as the rows of an
            embedding, are never attributed.
        explained_output: What of the model's outputs is explained, by the names of PyG's
            ``return_type``: ``"raw"`` scores, ``"log_probs"`` or ``"probs"``; None for what the
            model returns. Only for methods that explain changes or gradients of the output, and
            for forms that follow from what the model returns.

    Attributes:
        name: The method's name.
        engines: The engines it runs on, the fastest first.
        granularity: What it tells apart: ``edges``; ``features`` of each node, or only ``nodes``.
            The scores of what it does not score are zeros.
        signed: Whether a negative score means evidence against the target.
        model_dependent: Whether the scores depend on the model's outputs; a baseline's do not.
        target_dependent: Whether they depend on the class that is explained.
        needs_gradients: Whether the model must be differentiable.
        needs_fit: Whether the method trains on other predictions before it explains one.
        deterministic: Whether the result depends on no seed.
        splits: How often the memory did not suffice and a pass was taken in smaller parts.
        explains_forms: Whether it explains changes or gradients of the output, so that another form
            of it can be explained.
        along_path: Whether it asks for gradients at many points of the straight path from zero.
        costly: Whether its passes grow with the size of the computation graph, each of them over
            the whole graph on ``stock``; quick runs then leave that engine out.
        slow: Whether a node of a large computation graph takes it seconds on every engine; quick
            runs then leave it out, unless it is named.
        not_links: Why it explains no links, or ``""``.
        homogeneous_only: Why it explains graphs of one type of nodes and edges only, or ``""``.
        citation: Where the method is defined.
    """

    name = ""
    engines: ClassVar[tuple[str, ...]] = ("batched", "stock")
    granularity: ClassVar[tuple[str, ...]] = ("edges", "features")
    signed: ClassVar[bool] = True
    model_dependent: ClassVar[bool] = True
    target_dependent: ClassVar[bool] = True
    needs_gradients: ClassVar[bool] = True
    needs_fit: ClassVar[bool] = False
    deterministic: ClassVar[bool] = True
    explains_forms: ClassVar[bool] = False
    along_path: ClassVar[bool] = False
    costly: ClassVar[bool] = False
    slow: ClassVar[bool] = False
    not_links: ClassVar[str] = ""
    homogeneous_only: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    engine: str | None = None
    memory_budget: int = 256 * 2**20
    mask_type: str = "node_and_edge"
    explained_output: str | None = None

    def __post_init__(self) -> None:
        if self.engine is not None and self.engine not in self.engines:
            raise ValueError(
                f"{type(self).__name__} has no engine {self.engine!r}; it has: "
                f"{', '.join(self.engines)}{did_you_mean(self.engine, self.engines)}"
            )
        self._asked = self.engine
        self.engine = self.engine or self.candidates[0]
        self.splits = 0
        self.at_least("memory_budget", 1)
        if self.mask_type not in MASK_TYPES:
            raise ValueError(
                f"unknown mask_type {self.mask_type!r}; use one of {', '.join(MASK_TYPES)}"
            )
        if self.explained_output not in (None, *FORMS):
            raise ValueError(
                f"unknown explained_output {self.explained_output!r}; use one of "
                f"{', '.join(FORMS)}, or None for what the model returns"
            )
        if self.explained_output is not None and not self.explains_forms:
            raise ValueError(
                f"explained_output={self.explained_output!r}: {type(self).__name__} explains no "
                "changes or gradients of the output; leave it out"
            )
        if self.mask_type == "node" and not {"features", "nodes"} & {*self.granularity}:
            raise ValueError(f"mask_type 'node': {type(self).__name__} scores edges only")

    @property
    def candidates(self) -> tuple[str, ...]:
        """The engines that can run the method with these options, the fastest first."""
        return self.engines

    @property
    def options(self) -> dict[str, Any]:
        """The method's options and their values; those that all have if not the default."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del given["engine"]
        for name in ("memory_budget", "mask_type", "explained_output"):
            if given[name] == getattr(Method, name):
                del given[name]
        return given

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """What the method is, gives and needs, as plain data."""
        names = (
            *("engines", "granularity", "signed", "model_dependent", "target_dependent"),
            *("needs_fit", "needs_gradients", "deterministic", "costly", "citation"),
        )
        summary = (inspect.getdoc(cls) or "").partition("\n")[0]
        return {"description": summary} | {name: getattr(cls, name) for name in names}

    @abstractmethod
    def attribute(self, problem: Problem) -> Attribution:
        """Scores for the nodes of a problem, detached from the graph of the gradients."""

    def scores(self, problem: Problem) -> Attribution:
        """What the problem's engine runs: :meth:`attribute`, or :meth:`reference`."""
        return problem.scores_of(self)

    def reference(self, problem: ReferenceProblem) -> Attribution:
        """The same as Captum or PyG compute them, where they do; what ``stock`` runs."""
        return self.attribute(problem)

    def explain(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        nodes: Nodes | None = None,
        target: int | Sequence[int] | Tensor | None = None,
        model_config: ModelConfig | dict[str, Any] | None = None,
        *,
        edges: Tensor | None = None,
        leave_out_links: bool = False,
        seeds: int | None = None,
    ) -> list[Explanation]:
        """Explains the model's output for each of ``nodes``, or for each of the links ``edges``.

        A model that classifies graphs takes ``batch`` by keyword and returns [G, C]; ``nodes`` are
        then graphs of the batch ``data``, 0 to G - 1, and each is explained as if it were alone.
        One that predicts links takes ``edge_label_index`` by keyword and returns [R] or [R, C], a
        row for each of its columns; so is each of these.

        Args:
            model: Called as ``model(x, edge_index)``, with ``edge_weight``, ``edge_attr``,
                ``batch`` or ``edge_label_index`` by keyword if ``data`` has it and the model takes
                it; returns [N, C], [G, C], [R] or [R, C]. It is explained in eval mode and is not
                changed.
            data: ``x`` [N, F] and ``edge_index`` [2, E]; for graphs also ``batch`` [N], such as a
                ``torch_geometric.data.Batch``. Or ``HeteroData``: the model is then called as
                ``model(x_dict, edge_index_dict)``, with ``edge_weight`` or ``edge_attr`` (or either
                with ``_dict`` behind it) by keyword if the data have it and the model takes it.
            nodes: One node or several; every one gets an explanation of its own. Of a model that
                predicts links, columns of ``data.edge_label_index``. Of heterogeneous data with
                their type, ``("paper", [0, 1])``; the model returns [N, C] for that type, or a
                dictionary of such outputs.
            target: The class to explain for each node; None for the class that the model predicts
                (PyG's "model" explanations), ``data.y[nodes]`` for "phenomenon" explanations. Of
                independent binary outputs, and of a regression, the column.
            model_config: What the model's outputs mean, as PyG's ``ModelConfig`` or a dict with its
                ``mode``, ``task_level`` and ``return_type``; None where the outputs leave no doubt.
            edges: The links [2, R] to explain, in the place of ``nodes``: a source and a
                destination each, whether the graph has such an edge or not.
            leave_out_links: Whether to explain each link on the graph without the edges between
                its two ends, in both directions, as if it had to be predicted anew. Without, they
                are edges like any other.
            seeds: For methods with random parts, explain with so many seeds, from the method's own
                on: the masks are then means, and ``node_mask_std`` [n, F] and ``edge_mask_std`` [e]
                their standard deviations over the seeds. Sets, which belong to one seed, are left
                out.

        Returns:
            One explanation for each node, of its computation graph: ``n_id`` [n] and ``e_id`` [e]
            (ids in ``data``), ``edge_index`` [2, e] (positions in ``n_id``), ``node_mask`` [n, F],
            ``edge_mask`` [e], ``index`` (position of the node in ``n_id``), ``target`` and
            ``prediction`` [C] (the model's output for the node). The computation graph of a graph
            is the graph; its explanation has no ``index`` but ``graph``, the graph's number. That
            of a link is what either end depends on; its explanation has ``edge_label_index``
            [2, 1], the positions of the ends in ``n_id``, and ``link``, its column. Of
            heterogeneous data PyG's ``HeteroExplanation``, with ``n_id`` and ``node_mask`` for each
            node type, ``e_id``, ``edge_index`` and ``edge_mask`` for each edge type, and the
            explained node's ``node_type``, in which ``index`` is a position.

        Raises:
            ValueError: An argument is malformed, or the engine asked for cannot explain the model;
                raised before any work.
        """
        links: dict[str, Any] = {"edges": edges, "leave_out_links": leave_out_links}
        if seeds is None:
            return list(self.stream(model, data, nodes, target, model_config, **links))
        return self._over_seeds(seeds, model, data, nodes, target, model_config, **links)

    def _over_seeds(self, seeds: int, *arguments: Any, **links: Any) -> list[Explanation]:
        if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
            raise ValueError(f"seeds must be a whole number and at least 2, got {seeds!r}")
        if isinstance(arguments[1], HeteroData):
            raise ValueError(
                f"seeds {seeds}: explanations of heterogeneous graphs are of one seed; explain "
                "with each seed, by the method's own, and average the masks of each type"
            )
        if self.deterministic:
            raise ValueError(
                f"seeds {seeds}: {type(self).__name__} has no random part; leave it out"
            )
        first = int(self.options["seed"])
        runs = []
        for seed in range(first, first + seeds):
            one = copy.copy(self)
            one.seed = seed  # type: ignore[attr-defined]  # an option of methods with random parts
            runs.append(one.explain(*arguments, **links))
        self.engine = one.engine
        for found in zip(*runs, strict=True):
            for name in ("node_mask", "edge_mask"):
                masks = torch.stack([explanation[name] for explanation in found])
                found[0][name] = masks.mean(dim=0)
                found[0][f"{name}_std"] = masks.std(dim=0)
            if "convergence_delta" in found[0]:
                deltas = torch.stack([explanation.convergence_delta for explanation in found])
                found[0].convergence_delta = deltas.mean(dim=0)
            for name in ("converged", "collapsed"):  # of methods that learn: with every seed
                if name in found[0]:
                    found[0][name] = torch.stack([one[name] for one in found]).all(dim=0)
            for name in {*found[0].keys()} - _OF_ALL_SEEDS:
                del found[0][name]  # a set of one seed, say
        return runs[0]

    def stream(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        nodes: Nodes | None = None,
        target: int | Sequence[int] | Tensor | None = None,
        model_config: ModelConfig | dict[str, Any] | None = None,
        *,
        edges: Tensor | None = None,
        leave_out_links: bool = False,
    ) -> Iterator[Explanation]:
        """:meth:`explain`, one explanation after the other, in bounded memory.

        The arguments are checked at the call, before the first explanation is asked for.
        """
        if nodes is not None and edges is not None:
            raise ValueError("nodes and edges: explain one or the other, and leave one of them out")
        if edges is not None and self.needs_fit and not self.not_links:
            raise ValueError(
                f"edges: {self.name or type(self).__name__} trains on links that it does not "
                "explain; put all into data.edge_label_index, and say which ones by nodes=[...]"
            )
        if edges is not None and isinstance(data, HeteroData):
            raise ValueError(
                "edges: links of heterogeneous graphs are not explained; explain nodes of a type"
            )
        node_type, numbers = (None, None) if edges is not None else nodes_of_type(nodes, data)

        def prepared_now() -> tuple[PreparedModel, Tensor, Tensor]:
            prepared = self._prepare(model, data, model_config, node_type, edges)
            with torch.inference_mode(False):
                asked = numbers if edges is None else torch.arange(prepared.units)
                chosen = chosen_nodes(asked, prepared)
                return prepared, chosen, targets_of(target, chosen, prepared)

        prepared, chosen, targets = prepared_now()
        # Many computation graphs read most rows many times: then all are compared once instead.
        if len(chosen) > 1 and not prepared.unchanged():
            forget(model)
            prepared, chosen, targets = prepared_now()
        self.engine = self._choose(prepared, warn=True)
        if leave_out_links:
            return self._without_links(model, data, prepared, chosen, targets)
        return self._run(model, prepared_now, (prepared, chosen, targets), self.engine)

    def _without_links(
        self, model: nn.Module, data: Data, prepared: PreparedModel, units: Tensor, targets: Tensor
    ) -> Iterator[Explanation]:
        links, config = prepared.links, prepared.config
        if links is None:
            raise ValueError(
                f"leave_out_links: model {prepared.name} predicts no links; leave it out"
            )
        if self.needs_fit:
            raise ValueError(
                f"leave_out_links: {self.name or type(self).__name__} would train for each link; "
                "take the edges out of data.edge_index, and explain the link on that graph"
            )
        links = links[:, units]

        def one(graph: Data, r: int) -> Explanation:
            label = targets[r : r + 1]
            (found,) = self.stream(model, graph, None, label, config, edges=links[:, r : r + 1])
            found.link = units[r].clone()
            return found

        return left_out(data, links, one)

    def fit(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        nodes: int | Sequence[int] | Tensor | None = None,
        model_config: ModelConfig | dict[str, Any] | None = None,
    ) -> None:
        """Makes ready what is needed once for a model and a graph; see :attr:`needs_fit`."""
        prepare(model, data, model_config)

    def fitted(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        model_config: ModelConfig | dict[str, Any] | None = None,
    ) -> bool:
        """Whether :meth:`explain` can go on without training first."""
        return True

    def supports(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        model_config: ModelConfig | dict[str, Any] | None = None,
        node_type: str | None = None,
    ) -> bool:
        """Whether :meth:`explain` takes this model and graph; of ``HeteroData`` for a type."""
        try:
            self.chosen_engine(model, data, model_config, node_type)
        except ValueError:
            return False
        return True

    def chosen_engine(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        model_config: ModelConfig | dict[str, Any] | None = None,
        node_type: str | None = None,
    ) -> str:
        """The name of the engine on which :meth:`explain` would run; nothing is changed.

        Of ``HeteroData`` for nodes of a type, or of the only one that has outputs.

        Raises:
            ValueError: It would not run at all; says why.
        """
        return self._choose(self._prepare(model, data, model_config, node_type), warn=False)

    def _prepare(
        self,
        model: nn.Module,
        data: Data | HeteroData,
        model_config: ModelConfig | dict[str, Any] | None,
        node_type: str | None = None,
        edges: Tensor | None = None,
    ) -> PreparedModel:
        if self.homogeneous_only and isinstance(data, HeteroData):
            raise ValueError(
                f"{self.name or type(self).__name__} does not explain heterogeneous graphs: "
                f"{self.homogeneous_only}; use another method, such as 'integrated_gradients'"
            )
        return prepare(model, data, model_config, edges, node_type)

    def at_least(self, option: str, least: int) -> None:
        """Checks that an option is a whole number and not below ``least``."""
        value = getattr(self, option)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{option} must be a whole number and at least {least}, got {value!r}")

    def refuse(self, prepared: PreparedModel) -> None:  # noqa: B027  # most take what an engine does
        """Raises for a model that the method cannot explain, on whatever engine; before any work.

        Args:
            prepared: Model and graph: ``model``, ``task_level``, ``config`` (PyG's, of the
                outputs), ``output`` [N, C] or [G, C], ``layers``.

        Raises:
            ValueError: The method cannot; says why and what to do.
        """

    def share(self, engine: Engine) -> tuple[int, int | None]:
        """Variants that a pass takes, and how many nodes may share it (None: any)."""
        return 1, None

    @property
    def planned_budget(self) -> int:
        """Bytes of the memory budget with which a pass is planned, which keeps more than most."""
        return self.memory_budget

    def may_split(self) -> bool:
        """Whether a pass that does not fit into the memory may be taken in smaller parts."""
        return True

    def _run(
        self,
        model: nn.Module,
        again: Callable[[], _Asked],
        asked: _Asked,
        engine: str,
    ) -> Iterator[Explanation]:
        """Explains node after node; goes on elsewhere if what is explained is not the model."""
        done, again_at_most = 0, 2
        while True:
            prepared, nodes, targets = asked
            try:
                for explanation in self._stream(engine, prepared, nodes[done:], targets[done:]):
                    done += 1
                    yield explanation
                return
            except (Stale, NotTheModel) as error:
                # Perhaps the features were written to behind torch's back: then so is all of it.
                if isinstance(error, Stale) or not prepared.unchanged():
                    if not again_at_most:
                        raise ValueError("the data change while they are explained") from error
                    again_at_most -= 1
                    forget(model)
                    asked = again()
                    continue
                prepared.replace(f"{engine}: refusal", str(error))
                engine = self.engine = self._choose(prepared, warn=True)

    def _stream(
        self,
        engine: str,
        prepared: PreparedModel,
        nodes: Tensor,
        targets: Tensor,
        memory_budget: int | None = None,
    ) -> Iterator[Explanation]:
        budget = memory_budget or self.planned_budget
        kind = registry.get(engine, prepared)
        variants, most = self.share(kind)
        problems = kind.problems(prepared, nodes, targets, budget, variants, most)
        while True:
            # Not around the loop: a generator would leave the mode to its caller between turns.
            with torch.inference_mode(False), torch.enable_grad():
                problem = next(problems, None)
                if problem is None:
                    return
                if len(nodes) == 1 and not problem.unchanged():
                    raise Stale
                problem.with_features = self.mask_type != "edge" and prepared.trial.features
                problem.with_edges = self.mask_type != "node"
                if self.explained_output is not None:
                    problem.explained_form = form(prepared.config, self.explained_output)
                explanations = self._explained(problem, variants)
            if explanations is not None:
                yield from explanations
                continue
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            for part in smaller(problem, variants):
                yield from self._stream(engine, prepared, *part)

    def _explained(self, problem: Problem, variants: int) -> list[Explanation] | None:
        """A problem's explanations; None if the memory does not suffice, but may for parts."""
        try:
            name = self.name or type(self).__name__
            attribution = problem.require_scores(self.scores(problem), name)
            if self.model_dependent:
                problem.verify()
            for on, scores in (
                (problem.with_features, attribution.node_mask),
                (problem.with_edges, attribution.edge_mask),
            ):
                if not on:
                    scores.zero_()
            return list(problem.explanations(attribution))
        except Exception as error:
            parts = list(smaller(problem, variants))
            if not (parts and self.may_split() and is_out_of_memory(error)):
                raise
        # Outside of the handler: the traceback's frames hold what filled the memory.
        self.splits += 1
        note_split()
        warnings.warn(
            f"{self.name or type(self).__name__}: explaining {len(problem.nodes)} at once ran out "
            f"of memory; going on in smaller parts. A memory_budget below {self.memory_budget} "
            "avoids the attempt",
            stacklevel=2,
        )
        return None

    def _choose(self, prepared: PreparedModel, *, warn: bool) -> str:
        """The name of the engine that has to run, or that is the first to support the model.

        Raises:
            ValueError: It does not support the model, or none does.
        """
        if prepared.links is not None and self.not_links:
            raise ValueError(
                f"model {prepared.name} predicts links, which {self.name or type(self).__name__} "
                f"does not explain: {self.not_links}; use another method, such as 'gnn_explainer'"
            )
        if not self.model_dependent:
            return self._asked or self.candidates[0]  # its engine only cuts the graphs
        if self.needs_gradients and prepared.trial.error:
            raise ValueError(
                f"model {prepared.name} cannot be differentiated ({prepared.trial.error}), which "
                f"{self.name or type(self).__name__} needs; use a method that needs no gradients, "
                "such as 'occlusion'"
            )
        if not prepared.trial.features and not prepared.trial.error:
            what = "its features are whole numbers or select rows of an embedding"
            if self.mask_type == "node":
                raise ValueError(
                    f"model {prepared.name} cannot be differentiated by data.x ({what}), so that "
                    "there is nothing to score with mask_type='node'; use 'edge'"
                )
            if warn and self.mask_type != "edge" and "features" in self.granularity:
                warnings.warn(
                    f"model {prepared.name} cannot be differentiated by data.x ({what}): only "
                    "edges get scores; mask_type='edge' says so",
                    stacklevel=4,
                )
        self.refuse(prepared)
        candidates = self.candidates
        if self.explained_output is not None and form(prepared.config, self.explained_output):
            candidates = tuple(
                one for one in candidates if registry.get(one, prepared).explains_forms
            )
            if self._asked not in (None, *candidates):
                raise ValueError(
                    f"engine {self._asked!r} explains what the model returns "
                    f"({prepared.config.return_type.value}), and not "
                    f"explained_output={self.explained_output!r}; use engine={candidates[0]!r}"
                )
        choice = registry.choose(prepared, candidates, self._asked, along_path=self.along_path)
        for engine, reason in choice.refusals.items():
            # A special engine is for some models only; that the general one refuses is news.
            if warn and registry.get(engine, prepared).general:
                warnings.warn(
                    f"engine {engine!r} does not support model {prepared.name}: {reason}; "
                    f"explaining with the slower engine {choice.engine.name!r}",
                    stacklevel=4,
                )
        return choice.engine.name
