"""The first screen of a run about reliability: whether its tables say that scores can be relied on.

They are counted over all tasks by the rules that the parts of the tasks have; nothing is measured
by another one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from benchmarks.report.data.frames import natural
from benchmarks.report.data.randomisation import EQUIVALENT, as_random, gaps, like_untrained
from benchmarks.report.data.reliability import MOVED, NEW_WEIGHTS, SEEDS, TRAINED, by_task
from benchmarks.report.data.section import Section, benchmarks_of, units
from benchmarks.report.figures import reliability as figures
from benchmarks.report.figures.palette import Palette
from benchmarks.report.render.blocks import Block, Text, number, picture, share
from benchmarks.report.render.wording import counted, listed
from benchmarks.report.sections import agreement, axioms, explained_output, f_fidelity
from benchmarks.report.stats import equal, estimates
from benchmarks.report.stats.standings import SAME, Column, compare

# As cells name them, and in words.
BENCHMARKS = {
    "randomisation": "randomisation",
    "stability": "stability",
    "agreement": "agreement",
    "f_fidelity": "F-Fidelity",
    "explained_output": "explained output",
    "axioms": "axioms",
    "completeness": "completeness",
}
_SAME_RANKING = 0.995  # tau-b that is written 1.00
_STABLE = {
    "max_sensitivity": (
        "changes of the features by up to 2 % of their standard deviation",
        "Max-sensitivity, the relative change of the scores,",
    ),
    "kendall_tau_seeds": ("another seed of the method", "Kendall's tau-b of the two rankings"),
}
_AXIOMS = {
    "sensitivity": (axioms.VIOLATIONS,),
    "implementation invariance": axioms.INVARIANCE,
}
_NAMED = 3  # methods in a sentence; of others it says how many


def alone(sections: Sequence[Section]) -> bool:
    """Whether a run measured some of these, and nothing else."""
    found = benchmarks_of(sections)
    return bool(found) and found <= {*BENCHMARKS}


def answers(sections: Sequence[Section]) -> list[str]:
    """What it comes to over all tasks: a few short sentences on each question."""
    said = (
        _weights(sections, by_task(sections)),
        *_stability(sections),
        _agreement(sections),
        _order(sections),
        _axioms(sections),
    )
    return [" ".join(sentences) for sentences in said if sentences]


def overview(sections: Sequence[Section], palette: Palette) -> Iterator[Block]:
    """All methods on all tasks: alike with new weights, under other seeds, on moved features."""
    table = by_task(sections)
    texts = {
        NEW_WEIGHTS: "Correlation: Spearman's, of the absolute scores on the trained model and "
        "with all weights drawn anew.",
        TRAINED: "The line across a row is the median of the correlation between trained models: "
        "where the marker is not left of it, scores hardly depend on what was learned.",
        SEEDS: "tau-b: Kendall's, between two seeds of the method.",
        MOVED: "Max-sensitivity: relative change of the scores if the features move a little; "
        f"lower is more stable, 0 is not drawn, and what is above {figures.MOST:g} is drawn there.",
    }
    said = [text for name, text in texts.items() if table[name].notna().any()]
    yield from picture(
        "reliability",
        f"Small markers: a task each, the mean over its {units(sections)} and models; large: their "
        f"median. {' '.join(said)} Baselines are grey.",
        figures.draw(table, palette),
        table.drop(columns="baseline"),
        half=True,
    )
    yield Text(f"Explained of a task, at most: {_samples(sections)}.")


def _samples(sections: Sequence[Section]) -> str:
    """How many nodes of how many models each benchmark has; those with as many together."""
    of: dict[str, list[str]] = {}
    for name, word in BENCHMARKS.items():
        rows = [section.of(name)[0][["node", "model_seed"]].nunique() for section in sections]
        nodes, models = (max(int(one[column]) for one in rows) for column in rows[0].index)
        if nodes:
            what = f"{nodes:,} {units(sections)} × {counted(models, 'model')}"
            of.setdefault(what, []).append(word)
    return "; ".join(f"{what} ({', '.join(words)})" for what, words in of.items())


# ------------------------------------------------------------------------------------ sentences


def _weights(sections: Sequence[Section], table: pd.DataFrame) -> list[str]:
    """Whose scores are as close with new weights as between trained models."""
    known: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    noisy: Counter[str] = Counter()
    for section in sections:
        known.update(gaps(section).keys())
        drawn = set(as_random(section))
        for name in like_untrained(section):
            (noisy if name in drawn else alike)[name] += 1
    if not known:
        return []
    said = [
        "Parameter randomisation: with all weights drawn anew, scores should be further from the "
        "trained model's than those of another trained model are."
    ]
    if alike:
        said.append(f"They are not for {_with_counts(alike, known)}.")
    others = sorted((name for name in known if name not in alike | noisy), key=natural)
    if others:
        rest = table[table["method"].isin(others)].dropna(subset=[NEW_WEIGHTS, TRAINED])
        new, trained = (
            number(rest[name].median(), bounded=True) for name in (NEW_WEIGHTS, TRAINED)
        )
        them = listed(others) if len(others) <= _NAMED else counted(len(others), "method")
        every = " on every task" * (max(known.values()) > 1)
        said.append(
            f"They are{every} for {them} (median rank correlation {new}, between trained models "
            f"{trained})."
        )
    if noisy:
        said.append(
            f"Of {_with_counts(noisy, known)} this is not known: another draw of the method's "
            "random numbers changes the scores as much."
        )
    if fixed := _fixed(table):
        do, keep = ("does", "keeps its") if len(fixed) == 1 else ("do", "keep their")
        name = listed(fixed)
        said.append(
            f"The baseline{'s' * (len(fixed) > 1)} {name}, which {do} not look at the "
            f"model, {keep} scores."
        )
    return said


def _fixed(table: pd.DataFrame) -> list[str]:
    """The baselines whose scores are the same whatever the weights."""
    of_baselines = table[table["baseline"]].dropna(subset=[NEW_WEIGHTS])
    lowest = of_baselines.groupby("method")[NEW_WEIGHTS].min()
    return sorted(lowest.index[lowest >= _SAME_RANKING], key=natural)


def _stability(sections: Sequence[Section]) -> Iterator[list[str]]:
    """Which methods move least and most with the features, and with their own seeds."""
    for name, (changed, measure) in _STABLE.items():
        if found := _ends(sections, name):
            least, most, values = found
            yield [
                f"Stability under {changed}, ties included: most stable {least}; least {most}.",
                f"{measure} is {values}.",
            ]


def _ends(sections: Sequence[Section], name: str) -> tuple[str, str, str] | None:
    """The most and the least stable, with those tied with them, and the methods' range.

    Methods are compared as in the tables of quality; only nodes that all of them have count.
    """
    most, least, known = Counter[str](), Counter[str](), Counter[str]()
    means = []
    for section in sections:
        rows, _ = section.of("stability")
        rows = rows[(rows["metric"] == name) & ~rows["method"].isin(section.baselines)]
        table = rows.pivot_table(index=["model_seed", "node"], columns="label", values="value")
        table = estimates.paired(table)
        if table.empty or table.shape[1] < 2:
            continue
        metric, folds = section.metrics[name], equal.groups(table)
        margin = section.equivalence * (1 if metric.bounded else float(table.mean().median()))
        known.update(table.columns)
        means.append(table.mean())
        for direction in ("up", "down"):
            column = Column(table, direction, margin, metric.limits)
            marked = compare({name: column}, folds=folds)[name]
            counts = most if direction == metric.direction else least
            counts.update(one for one, standing in marked.items() if standing.mark)
    if not most or not least:
        return None
    medians = pd.concat(means, axis=1).median(axis=1)
    values = f"{number(medians.min())} to {number(medians.max())}"
    over = ", medians over the tasks" if len(means) > 1 else ""
    return _tied(most, known), _tied(least, known), f"{values} over the methods{over}"


def _tied(counts: Counter[str], of: Counter[str]) -> str:
    """Those that are an end, or tied with it, on the most tasks; how many if they are many."""
    top, tasks = max(counts.values()), max(of.values())
    first = sorted((name for name in counts if counts[name] == top), key=natural)
    who = listed(first) if len(first) <= _NAMED else f"{len(first)} of {len(of)} methods"
    if tasks == 1:
        return who
    others = len(counts) - len(first)
    fewer = f"; {others} more on fewer" if others else ""
    return f"{who} (on {top} of {tasks} tasks{fewer})"


def _agreement(sections: Sequence[Section]) -> list[str]:
    """How far two methods agree, and which give the same ranking."""
    medians = []
    same: Counter[tuple[str, str]] = Counter()
    measured: Counter[tuple[str, str]] = Counter()
    for section in sections:
        pairs, _ = section.of("agreement")
        aside = section.baselines
        pairs = pairs[~pairs["method"].isin(aside) & ~pairs["other"].isin(aside)]
        square = agreement.matrix(pairs, "kendall_tau")
        known = {
            (one, other): float(square.loc[one, other])
            for place, one in enumerate(square.index)
            for other in square.index[place + 1 :]
            if pd.notna(square.loc[one, other])
        }
        if known:
            medians.append(float(np.median([*known.values()])))
            measured.update(known.keys())
            same.update(pair for pair, tau in known.items() if tau >= _SAME_RANKING)
    if not medians:
        return []
    said = [
        "Agreement: Kendall's tau-b of two methods' rankings of the edges is "
        f"{_spread(medians, f'{{}} ({{}} to {{}} over {len(medians)} tasks)')}, the median of all "
        "pairs."
    ]
    if not same:
        return [*said, "No two methods give the same ranking on any task."]
    always = [pair for pair in sorted(same) if same[pair] == measured[pair] == len(medians)]
    groups: dict[str, tuple[str, ...]] = {name: (name,) for pair in same for name in pair}
    for one, other in always:
        joined = tuple(sorted({*groups[one], *groups[other]}, key=natural))
        groups.update(dict.fromkeys(joined, joined))
    on = f" on all {len(medians)} tasks" * (len(medians) > 1)
    whole = [f"{SAME.join(one)}{on}" for one in dict.fromkeys(groups.values()) if len(one) > 1]
    rest, of = Counter[str](), Counter[str]()
    for pair in same:
        one, other = (SAME.join(groups[name]) for name in pair)
        if one != other:
            named = listed(sorted((one, other), key=natural))
            rest[named], of[named] = max(rest[named], same[pair]), len(medians)
    some = [_with_counts(rest, of, 1, "pair")] if rest else []
    return [*said, f"The same ranking (tau-b 1.00) is that of {'; '.join([*whole, *some])}."]


def _order(sections: Sequence[Section]) -> list[str]:
    """Whether the methods' order by fidelity holds under other conventions."""
    by_f: list[tuple[float, float | None]] = []
    forms: dict[str, list[float]] = {}
    for section in sections:
        found = f_fidelity.orders(section, "+")
        wanted = [one for one in found if one.column == f_fidelity.masked("+")]
        if wanted and wanted[0].correlation is not None:
            by_f.append((wanted[0].correlation, found[-1].correlation))
        for form, value in explained_output.orders(section).items():
            forms.setdefault(form, []).append(value)
    if not by_f and not forms:
        return []
    several = max(len(by_f), *map(len, forms.values()), 0) > 1
    what = f"rank correlation{', median and range over the tasks' * several}"
    said = [f"Order of the methods by fidelity+, baselines included ({what}):"]
    if by_f:
        said.append(f"{_spread([one for one, _ in by_f])} with that by F-Fidelity+.")
        known = [(one, between) for one, between in by_f if between is not None]
        if known:
            kept = sum(one >= between for one, between in known)
            said.append(
                f"Two models' orders by F-Fidelity+ have {_spread([b for _, b in known])}; they "
                f"differ at least as much on {kept} of {counted(len(known), 'task')}."
            )
    if forms:
        each = [f"{_spread(values)} if {form}s are" for form, values in forms.items()]
        each[0] += " explained in place of probabilities"
        text = listed(each).replace("ys are", "ies are")
        said.append(f"{'It is ' * bool(by_f)}{text}.")
    return said


def _axioms(sections: Sequence[Section]) -> list[str]:
    """Which methods break sensitivity or implementation invariance, and on how many tasks."""
    known: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    variant: Counter[str] = Counter()
    there: set[str] = set()
    for section in sections:
        rows, _ = section.of("axioms")
        rows = rows[~rows["method"].isin(section.baselines)]
        known.update(map(str, rows["label"].unique()))
        there |= {*rows["metric"]}
        missed = rows[rows["metric"] == axioms.VIOLATIONS].groupby("label")["value"].mean()
        changed = rows[rows["metric"].isin(axioms.INVARIANCE)].groupby("label")["value"].max()
        ignored.update(map(str, missed.index[missed > EQUIVALENT]))
        variant.update(map(str, changed.index[changed > EQUIVALENT]))
    if not known:
        return []
    limit = share(EQUIVALENT)
    kept = [name for name in known if name not in ignored and name not in variant]
    words = " and ".join(word for word, metrics in _AXIOMS.items() if there & {*metrics})
    who = f" ({listed(sorted(kept, key=natural))})" if 0 < len(kept) <= 2 * _NAMED else ""
    every = " on every task" * (max(known.values()) > 1)
    keep = "keeps" if len(kept) == 1 else "keep"
    said = [f"Axioms: {len(kept)} of {counted(len(known), 'method')}{who} {keep} {words}{every}."]
    if ignored:
        said.append(
            f"A score of 0 for more than {limit} of the edges whose removal changes the output: "
            f"{_with_counts(ignored, known)}."
        )
    if variant:
        said.append(
            f"Scores that change by more than {limit} on a network that computes the same "
            f"function: {_with_counts(variant, known)}."
        )
    return said


def _with_counts(
    counts: Counter[str], of: Counter[str], named: int = _NAMED, word: str = ""
) -> str:
    """``a (on 3 of 4 tasks), b (1 of 4) and 2 more``, the most frequent first.

    ``word`` says of what there are more.
    """
    order = sorted(counts, key=lambda name: (-counts[name], natural(name)))
    shown = order[:named]
    if max(of.values()) > 1:
        first, *more = shown
        shown = [f"{first} (on {counts[first]} of {counted(of[first], 'task')})"]
        shown += [f"{name} ({counts[name]} of {of[name]})" for name in more]
    rest = len(order) - named
    if rest > 0:
        more_of_them = f" {word}{'s' * (rest > 1)}" if word else ""
        return f"{', '.join(shown)} and {rest} more{more_of_them}"
    return listed(shown)


def _spread(values: Iterable[float], form: str = "{} ({} to {})") -> str:
    """``0.31 (0.12 to 0.55)``: the median and the range; the median alone of equal values."""
    found = np.array([*values], dtype=float)
    found = found[np.isfinite(found)]
    middle, low, high = (number(float(f(found))) for f in (np.median, np.min, np.max))
    return middle if low == high else form.format(middle, low, high)
