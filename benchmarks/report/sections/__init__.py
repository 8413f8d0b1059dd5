"""The sections of a report: functions that yield its blocks, from the tables in ``data``."""
