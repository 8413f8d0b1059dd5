"""What a user may have meant by a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: ``"; did you mean 'saliency'?"``, or nothing.

    Upper case does not matter, nor whether words are joined by ``-`` or ``_``.

    Args:
        name: What was typed.
        known: The names that there are.
    """
    plain = {_plain(one): one for one in known}
    close = difflib.get_close_matches(_plain(name), plain, n=1)
    return f"; did you mean {plain[close[0]]!r}?" if close else ""


def _plain(name: object) -> str:
    return str(name).lower().replace("-", "_")
