"""Estimates with intervals, tests and comparisons of methods, on plain tables of numbers."""
