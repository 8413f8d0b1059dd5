"""Phrases that several sections share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.report.data.section import Section
from benchmarks.report.render.blocks import NOTHING


def machine(section: Section, manifest: dict[str, Any]) -> str:
    """The processor or GPU that a section's times were taken on."""
    gpu, processor = manifest.get("gpu") or {}, manifest.get("cpu") or {}
    if section.device.startswith("cuda"):
        return str(gpu.get("name") or "an unknown GPU")
    name = str(processor.get("model") or "an unknown CPU")
    return join(name, counted(processor.get("threads"), "thread"))


def variant(method: str, engine: str) -> str:
    """A method and its engine."""
    return f"{method} on {engine}" if engine else method


def p_value(value: float | None) -> str:
    """A p-value with three decimals."""
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def p_equals(value: float) -> str:
    """``p = 0.034`` or ``p < 0.001``."""
    return f"p = {p_value(value)}".replace("= <", "<")


def counted(count: int | None, word: str) -> str:
    """``1 node``, ``2 nodes``; empty for None."""
    if count is None:
        return ""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def named(name: str, value: object) -> str:
    """A value with its name; empty without a value."""
    return f"{name} {value}" if value else ""


def join(*parts: object) -> str:
    """The parts that are not empty, with commas."""
    return ", ".join(str(part) for part in parts if part)


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def mapping(content: dict[str, Any] | None) -> str:
    """Names and values, with commas."""
    return join(*(f"{name} {value}" for name, value in (content or {}).items()))
