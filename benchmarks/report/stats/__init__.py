"""The statistical protocol: estimates with intervals, comparisons of methods, on plain tables.

Whoever says that a method is best, tied with another or better than random asks
:func:`benchmarks.report.stats.standings.compare`, so that no two statements of a report disagree.
"""
