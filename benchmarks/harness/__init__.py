"""Measuring and recording: how a benchmark's numbers are taken and where they are kept.

``measure`` times, weighs and classifies; ``cells`` are the result files; ``environment`` says on
what the numbers were taken; ``plan`` is what was asked for; ``run`` is one run's results folder.
"""
