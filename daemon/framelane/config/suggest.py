"""Suggests the known name that a mistyped one probably means."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` probably means; None if none is close."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def unknown(kind: str, name: str, known: Iterable[str], plural: str = "") -> str:
    """Return a message about an unknown name that suggests the closest known name, or lists all of them."""
    names = list(known)
    meant = nearest(name, names)
    if meant is not None:
        return f"unknown {kind} `{name}`; did you mean `{meant}`?"
    return f"unknown {kind} `{name}`; known {plural or kind + 's'}: {listed(names, 'and')}"


def listed(names: Iterable[str], word: str = "or") -> str:
    """Join names for a sentence: `a, b or c`."""
    all_names = list(names)
    if len(all_names) < 2:  # noqa: PLR2004 - one name needs no comma
        return "".join(all_names) or "none"
    return f"{', '.join(all_names[:-1])} {word} {all_names[-1]}"
