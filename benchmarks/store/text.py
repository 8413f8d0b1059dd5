"""Text from elsewhere, made fit for a terminal, a page and a table."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Controls, directions (which show a text in another order than it is in), surrogates, private use,
# what is not assigned, and the separators of lines and paragraphs.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINER = "\u200d"  # within emoji and some scripts; harmless
_FORMULA = re.compile(r"[=+\-@\t\r]")


def printable(text: str) -> str:
    """The text with a space for each control character, and U+FFFD for what cannot be shown."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_printable, text))


def cleaned(value: Any) -> Any:
    """A value of JSON with all its texts, keys included, made printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {cleaned(name): cleaned(item) for name, item in value.items()}
    return value


def table_text(text: str) -> str:
    """The text for a CSV file: one that a spreadsheet would run as a formula begins with ``'``."""
    return f"'{text}" if _FORMULA.match(text) else text


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category not in _UNPRINTABLE or character == _JOINER:
        return character
    return " " if category in ("Cc", "Zl", "Zp") else "\ufffd"
