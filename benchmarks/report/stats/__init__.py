"""Estimates, intervals and comparisons of methods."""
