"""How good the methods are, and what failed: frames to tables of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.section import BASELINES, RANDOM, Key, Section
from benchmarks.report.stats import crossed, equal, estimates, standings
from benchmarks.report.stats.standings import SAME, Column, Difference, Standings

# As in the column `level`: a fifth of the computation graph's edges, rounded up. Where there is no
# value for it, as in older runs, that for ten edges is shown.
HEADLINE_BUDGET = "f=20%"
OTHER_BUDGET = "k=10"
SELECTIONS = ("signed", "absolute")
SEMANTICS = ("mask", "delete")
# What the tables show, by name, or by name and level; other metrics come after them.
PROB = ("fidelity+_prob", "fidelity-_prob", "characterization_prob")
AREA = ("area_fidelity+_prob", "area_fidelity-_prob")
ACC = ("fidelity+_acc", "fidelity-_acc", "characterization_acc")
WIDER = (
    ("unfaithfulness", HEADLINE_BUDGET),
    ("robust_fidelity+_prob", HEADLINE_BUDGET),
    ("robust_fidelity-_prob", HEADLINE_BUDGET),
    *(("infidelity", ""), ("infidelity_scaled", "")),
)
SCORES = ("gini", "entropy", "mass90", "completeness")
GROUND_TRUTH = (
    *(("auroc", ""), ("auroc_undirected", ""), ("average_precision", ""), ("r_precision", "")),
    *(("recall", HEADLINE_BUDGET), ("jaccard", HEADLINE_BUDGET)),
)
GRAPH_EDGES = "computation_graph_edges"
PLACED = {
    *(*PROB, *AREA, *ACC, *SCORES, *(name for name, _ in (*WIDER, *GROUND_TRUTH))),
    *("sparsity", GRAPH_EDGES),
}
# What the order of the edges decides: methods that are equal in all of it select the same edges.
ORDERED = (*PROB, *AREA, *ACC, *(name for name, _ in GROUND_TRUTH))
# Methods that every reader asks about: compared with each other and with the best.
ASKED = ("integrated_gradients", "gnn_explainer")
# Beyond this share of nodes where the methods tie, a table says that it is saturated.
SATURATED = 0.5


def find(
    section: Section, name: str, budget: str, semantics: str, selection: str | None = None
) -> Key | None:
    """What a section has of a metric; None if nothing.

    Args:
        section: A section.
        name: The metric.
        budget: The edge budget; for the headline's another is taken where there is none.
        semantics: How edges are removed.
        selection: How edges are selected; None: as the metric says, else as the run did.
    """
    declared = section.metrics[name].selection
    selections = [declared, *SELECTIONS, ""] if selection is None else [selection]
    budgets = [budget, OTHER_BUDGET] if budget == HEADLINE_BUDGET else [budget]
    keys = (Key(name, one, semantics, by) for by in selections for one in budgets)
    return next((key for key in keys if key in section.scores), None)


def conditions(key: Key) -> str:
    """The budget and the selection in words: ``20 % of the edges, by signed score``."""
    parts = []
    if key.budget.startswith("f="):
        parts.append(f"{key.budget[2:-1]} % of the edges")
    elif key.budget.startswith("k="):
        parts.append(f"{key.budget[2:]} edge{'' if key.budget == 'k=1' else 's'}")
    elif key.budget:
        parts.append(key.budget)
    if key.selection:
        parts.append(f"by {key.selection} score")
    return ", ".join(parts)


@lru_cache(maxsize=512)
def _values(section: Section, key: Key) -> pd.DataFrame:
    return estimates.paired(_all_values(section, key))


def _all_values(section: Section, key: Key) -> pd.DataFrame:
    """Methods by (model, node), with gaps where a method has no value."""
    rows = section.scores[key]
    # A metric of a whole task has no node; it counts as one unit.
    rows = rows.assign(node=rows["node"].fillna(-1), model=rows["model_seed"].fillna(-1))
    return rows.pivot_table(index=["model", "node"], columns="label", values="value")


@dataclass(frozen=True)
class Gaps:
    """What methods are not compared on, since some of them have no values there.

    Attributes:
        methods: Those that lack values of units which are therefore left out for all.
        kept: How many units, a node under a model each, are compared.
        units: How many there are.
    """

    methods: tuple[str, ...]
    kept: int
    units: int


def gaps(section: Section, name: str, budget: str, semantics: str) -> Gaps | None:
    """The gaps in a metric, see :func:`find`; None if there are none."""
    key = find(section, name, budget, semantics)
    if key is None:
        return None
    values = _all_values(section, key)
    compared = _values(section, key)
    if len(compared) == len(values):
        return None
    counts = values[compared.columns].notna().sum()
    lacking = counts[counts < len(values)].index
    return Gaps(tuple(sorted(map(str, lacking))), len(compared), len(values))


def node_values(
    section: Section, name: str, budget: str, semantics: str, selection: str | None = None
) -> pd.DataFrame:
    """One metric as methods by (model, node), over the nodes and models that all methods have."""
    key = find(section, name, budget, semantics, selection)
    return pd.DataFrame() if key is None else _values(section, key)


def compare(
    section: Section, name: str, budget: str, semantics: str, selection: str | None = None
) -> Standings:
    """The methods by one metric, see :func:`find`; empty if no method has it."""
    key = find(section, name, budget, semantics, selection)
    return Standings() if key is None else _family(section, _together(section, key))[key]


def _together(section: Section, key: Key) -> tuple[Key, ...]:
    """The metrics of which one sentence speaks: fidelity+ and fidelity- of a kind, or one alone."""
    names = [re.sub("fidelity[+-]", f"fidelity{sign}", key.name) for sign in "+-"]
    keys = (key._replace(name=name) for name in dict.fromkeys(names))
    return tuple(one for one in keys if one in section.scores)


@lru_cache(maxsize=512)
def _family(section: Section, keys: tuple[Key, ...]) -> dict[Key, Standings]:
    """The standings of all methods by the metrics of one family."""
    columns = {}
    for key in keys:
        known, values = section.metrics[key.name], _values(section, key)
        columns[key] = Column(values, known.direction, _margin(section, key), known.limits)
    found = standings.compare(
        {str(i): columns[key] for i, key in enumerate(keys)},
        baseline=RANDOM,
        asked=asked(section),
        folds=folds(section, keys),
    )
    return {key: found[str(i)] for i, key in enumerate(keys)}


def _margin(section: Section, key: Key) -> float:
    """Half of the region of practical equivalence.

    For a metric that has no bounds it is in relation to its size: the median of the methods' means.
    """
    if section.metrics[key.name].bounded:
        return section.equivalence
    size = _values(section, key).mean().abs().median()
    return section.equivalence * float(size) if np.isfinite(size) else 0.0


@lru_cache(maxsize=512)
def folds(section: Section, keys: tuple[Key, ...]) -> tuple[tuple[str, ...], ...]:
    """Methods in groups that are the same by these metrics, all of one selection.

    The same everywhere: equal in one metric alone, as many are where a model's class does not
    change, is no reason to take two methods for one.
    """
    found = _same(section, keys[0].selection)
    for key in keys:
        found = tuple(equal.within(found, _values(section, key)))
    return found


@lru_cache(maxsize=64)
def _same(section: Section, selection: str) -> tuple[tuple[str, ...], ...]:
    """Methods in groups that have the same values by every metric that looks at the order."""
    rows = section.of("quality")[0]
    rows = rows[rows["selection"] == selection]
    ordered = rows[rows["metric"].isin(ORDERED)]
    rows = rows if ordered.empty or not selection else ordered
    keys = ["metric", "level", "semantics", "model_seed", "node"]
    units = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    labels, names = pd.factorize(rows["label"])
    # Means, as in a pivot table, which takes ten times as long on millions of rows.
    shape = int(units.max()) + 1, len(names)
    places = units * shape[1] + labels
    sums, counts = (
        np.bincount(places, weights, minlength=shape[0] * shape[1]).reshape(shape)
        for weights in (rows["value"].to_numpy(dtype=float), None)
    )
    means = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    table = pd.DataFrame(means, columns=list(names))[sorted(names, key=natural)]
    # A method may have metrics of its own, which others lack.
    everyone = set(section.of("quality")[0]["label"].unique()) - set(names)
    return (*equal.groups(table, apart=[RANDOM]), *((str(name),) for name in sorted(everyone)))


@lru_cache(maxsize=64)
def asked(section: Section) -> tuple[tuple[str, str], ...]:
    """The pairs that the verdict speaks of: the first by fidelity+, and those of ``ASKED``."""
    rows = section.of("quality")[0]
    wanted = set(rows.loc[rows["method"].isin(ASKED), "label"])
    order = ranking(section)
    return tuple(combinations([one for one in order if one == order[0] or one in wanted], 2))


def compare_pairs(
    section: Section, pairs: Sequence[tuple[str, str]], name: str
) -> list[Difference]:
    """The pairs of methods by one metric, at the headline budget, masked.

    Pairs that are the same method by another name, that are not compared (see
    :func:`standings.compare`), and all of them where there are too few nodes, are left out.
    """
    found = compare(section, name, HEADLINE_BUDGET, "mask")
    if found.outcome == standings.TOO_FEW:
        return []
    made = (found.between(*pair) for pair in pairs if set(pair) <= set(found))
    return [one for one in made if one is not None]


def ranking(section: Section) -> list[str]:
    """The methods of the quality benchmark, best first by fidelity+; those without it last."""
    rows, _ = section.of("quality")
    means = node_values(section, "fidelity+_prob", HEADLINE_BUDGET, "mask").mean()
    return sorted(
        (str(name) for name in rows["label"].unique()),
        key=lambda name: (-means.get(name, -np.inf), natural(name)),
    )


def other_metrics(section: Section) -> list[tuple[str, str, str]]:
    """Metric, budget and semantics of what has no place of its own: metrics that are new.

    The headline budget is taken where there is one, else ten edges, else the first.
    """
    budgets: dict[tuple[str, str], list[str]] = {}
    for name, budget, semantics, _ in section.scores:
        if name not in PLACED and section.metrics[name].compared:
            budgets.setdefault((name, semantics), []).append(budget)
    return [
        (name, min(found, key=_preference), semantics)
        for (name, semantics), found in budgets.items()
    ]


def _preference(budget: str) -> tuple[bool, bool, tuple[object, ...]]:
    return budget != HEADLINE_BUDGET, budget != OTHER_BUDGET, natural(budget)


@lru_cache(maxsize=16)
def distinct_semantics(section: Section) -> tuple[str, ...]:
    """How edges were removed: ``SEMANTICS``, or only the first where both gave the same values.

    They do where no layer weights messages by degree. Values are stored with five digits.
    """
    deleted = {key: rows for key, rows in section.scores.items() if key.semantics == "delete"}
    keys = ["label", "model_seed", "node"]
    for key, rows in deleted.items():
        masked = section.scores.get(key._replace(semantics="mask"), rows.iloc[:0])
        both = rows.merge(masked, on=keys, how="outer")
        if not np.allclose(both["value_x"], both["value_y"], rtol=1e-3, atol=1e-4):
            return SEMANTICS
    return SEMANTICS[:1] if deleted else SEMANTICS


def two_selections(section: Section) -> bool:
    """Whether edges were selected in two ways that a metric's tables can show."""
    found = {key.selection for key in section.scores if key.name in (*PROB, *AREA)}
    return set(SELECTIONS) <= found


# ------------------------------------------------------------------------------------- the nodes


def replicates(section: Section) -> tuple[int, int]:
    """How many nodes and models the headline is measured on; 0, 0 without quality."""
    rows = section.of("quality")[0]
    return int(rows["node"].nunique()), int(rows["model_seed"].nunique())


def graph_edges(section: Section) -> pd.Series:
    """The edges of the computation graphs, one for each node; empty in older runs."""
    rows = section.of("quality")[0]
    rows = rows[rows["metric"] == GRAPH_EDGES]
    return rows.groupby("node")["value"].first()


@lru_cache(maxsize=64)
def tied_nodes(section: Section) -> float | None:
    """In what share of nodes and models all methods tie by fidelity+, at the headline budget.

    Tied are values that lie no further apart than the region of practical equivalence reaches to
    one side. Counted are the random baseline and the methods that are no baseline. None if there
    are fewer than two.
    """
    values = node_values(section, "fidelity+_prob", HEADLINE_BUDGET, "mask")
    counted = [name for name in values if name == RANDOM or name not in BASELINES]
    if len(counted) < 2:
        return None
    apart = values[counted].max(axis=1) - values[counted].min(axis=1)
    return float((apart <= section.equivalence + 1e-12).mean())


# ------------------------------------------------------------------------------------ the curves


def curve(section: Section, name: str, semantics: str) -> pd.DataFrame:
    """A metric at budgets that are shares of the edges: method, sparsity, mean, low, high, n.

    Methods that are the same are one line.
    """
    headline = find(section, name, HEADLINE_BUDGET, semantics)
    parts = []
    keys = _shares(section, name, semantics, headline and headline.selection)
    groups = folds(section, tuple(keys)) if keys else ()
    for key in keys:
        values = _values(section, key)
        share = float(key.budget[2:-1]) / 100
        measured = find(section, "sparsity", key.budget, "")
        sparsity = 1 - share
        if measured is not None:
            sparsity = float(section.scores[measured]["value"].mean())
        here = [group for group in groups if group[0] in values]
        found = crossed.means(values[[group[0] for group in here]])
        limits = section.metrics[name].limits
        parts += [
            (SAME.join(group), sparsity, one.value, one.low, one.high, one.n)
            for group, one in zip(here, found.estimates(limits), strict=True)
        ]
    return pd.DataFrame(parts, columns=["method", "sparsity", "mean", "low", "high", "n"])


def _shares(section: Section, name: str, semantics: str, selection: str | None) -> list[Key]:
    keys = [
        key
        for key in section.scores
        if (key.name, key.semantics) == (name, semantics) and re.fullmatch(r"f=[\d.]+%", key.budget)
    ]
    chosen = min((key.selection for key in keys), default="", key=_selection_preference)
    wanted = chosen if selection is None else selection
    return [key for key in keys if key.selection == wanted]


def _selection_preference(selection: str) -> int:
    return [*SELECTIONS, ""].index(selection)


def curves(section: Section) -> pd.DataFrame:
    """Fidelity against sparsity: metric, semantics and the columns of :func:`curve`."""
    parts = [
        curve(section, name, one).assign(metric=name, semantics=one)
        for name in ("fidelity+_prob", "fidelity-_prob")
        for one in distinct_semantics(section)
    ]
    # An empty frame would take the numbers' type from the others.
    found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    order = ["metric", "semantics", "method", "sparsity"]
    return found[[*order, "mean", "low", "high", "n"]].sort_values(order, ignore_index=True)


def failures(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts of a section's failed rows, by benchmark, method, engine, status and message."""
    keys = ["benchmark", "method", "engine", "status", "message"]
    return rows.groupby(keys, sort=True).size().rename("rows").reset_index()
