"""Measuring and recording: how a benchmark's numbers are taken and where they are kept.

``options`` are what a run was asked for, ``run`` is one run's results folder, ``cell_files`` and
``manifest`` what is in it. ``measure`` times, weighs and classifies, ``guards`` checks explanations
and models; ``environment`` says on what the numbers were taken. ``supervisor`` and ``cluster`` run
the tests in other processes, ``progress`` shows how far they are. ``plugin`` is where all of it
meets pytest; it and ``cluster`` alone import that.
"""
