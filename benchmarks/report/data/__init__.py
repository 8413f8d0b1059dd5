"""Cells to tidy frames, and frames to tables of numbers."""
