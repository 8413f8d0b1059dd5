"""A run's ``manifest.json``, read and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.store.text import cleaned

MANIFEST_SCHEMA = 1
_TEXTS = ("created", "command", "commit", "profile", "python", "platform")
_OBJECTS = ("versions", "cpu", "gpu", "determinism")
# ... and of each of their entries the texts that it must have.
_LISTS: dict[str, tuple[str, ...]] = {
    "tasks": ("name",),
    "methods": ("name",),
    "metrics": ("name",),
    "unavailable": ("task", "message"),
    "workers": (),
    "earlier": (),
}
# What else must be a number or a list within an object or an entry; all others are shown as texts.
_NUMBERS = {
    "cpu": ("cores", "threads"),
    "gpu": ("memory_bytes",),
    "tasks": (
        *("model_seed", "accuracy", "nodes", "edges", "features", "classes", "columns"),
        "layers",
    ),
}
_INNER_LISTS = {"determinism": ("not_deterministic",), "metrics": ("bounds",)}
_TEXT_LISTS = {"methods": ("engines", "granularity", "gives")}
# What a method says of itself in the manifests of older runs.
_METHOD_ALIASES = {
    "gives": "granularity",
    "asks_model": "model_dependent",
    "asks_target": "target_dependent",
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a results folder, in the terms of this version.

    Raises:
        ValueError: It cannot be read, is of a newer schema, or no manifest of a run.
    """
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        manifest: dict[str, Any] = cleaned(sound_manifest(content))
    except (OSError, ValueError, RecursionError) as error:
        reason = "there is none" if isinstance(error, FileNotFoundError) else str(error)
        raise ValueError(f"manifest.json could not be read: {reason}") from error
    for entry in manifest.get("methods") or ():
        for old, new in _METHOD_ALIASES.items():
            if old in entry:
                entry.setdefault(new, entry.pop(old))
    return manifest


def sound_manifest(content: object) -> dict[str, Any]:
    """A manifest whose entries have the types that a run writes.

    Raises:
        ValueError: It is of a newer schema, or no manifest of a run; the message says where.
    """
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    schema = content.get("schema")
    if not isinstance(schema, int) or schema > MANIFEST_SCHEMA:
        raise ValueError(
            f"its schema is {schema!r}, this version reads {MANIFEST_SCHEMA}; update the package"
        )
    for names, kind, what in (
        (_TEXTS, str, "text"),
        (_OBJECTS, dict, "an object"),
        (_LISTS, list, "a list"),
    ):
        for name in names:
            if content.get(name) is not None and not isinstance(content[name], kind):
                raise ValueError(f"{name!r} must be {what}")
    for name, texts in _LISTS.items():
        for entry in content.get(name) or ():
            if not isinstance(entry, dict):
                raise ValueError(f"{name!r} must be a list of objects")
            missing = [key for key in texts if not isinstance(entry.get(key), str)]
            if missing:
                raise ValueError(f"an entry of {name!r} has no text {missing[0]!r}")
    for inner, is_sound, what in (
        (_NUMBERS, lambda value: isinstance(value, (int, float)), "a number"),
        (_INNER_LISTS, lambda value: isinstance(value, list), "a list"),
        (_TEXT_LISTS, _is_list_of_texts, "a list of texts"),
    ):
        for name, keys in inner.items():
            found = content.get(name) or ()
            for entry in [found] if isinstance(found, dict) else found:
                for key in keys:
                    if entry.get(key) is not None and not is_sound(entry[key]):
                        raise ValueError(f"{key!r} in {name!r} must be {what}")
    return content


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
