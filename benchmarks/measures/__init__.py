"""Measures that need more than one explanation: agreement, equivalent networks."""
