"""Parses sizes such as 4GiB."""

from __future__ import annotations

import re


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as 4GiB, 512MiB, 2 GB or 1000000.

    Raises:
        ValueError: The text is not a size.
    """
    found = re.fullmatch(r"([1-9]\d{0,8}) ?(?:([KMG])(i?)B)?", text)
    if not found:
        raise ValueError(f"`{text}` is not a size such as 4GiB or 512MiB")
    base = 1024 if found[3] else 1000
    power = " KMG".index(found[2]) if found[2] else 0
    return int(found[1]) * int(base**power)
