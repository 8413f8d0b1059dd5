"""The figures, a module for each kind; its ``draw`` gives one, or None if it lacks data.

A method has the same colour, and an engine the same marker, in all figures of a report.
"""
