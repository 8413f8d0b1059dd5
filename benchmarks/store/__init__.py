"""Cells on disk: what a run has measured. Imports nothing else of the project."""
