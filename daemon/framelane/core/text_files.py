"""Reads text that users write: UTF-8, with or without the byte order mark of Windows editors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def decode_text(content: bytes) -> str:
    """Decode a file's bytes, without a byte order mark.

    Raises:
        UnicodeDecodeError: The bytes are not UTF-8.
    """
    return content.decode("utf-8-sig")


def read_lines(path: Path) -> tuple[str, ...]:
    """Return the non-blank lines of a file, stripped.

    Raises:
        OSError: The file can't be read.
        UnicodeDecodeError: The file is not UTF-8.
    """
    lines = (line.strip() for line in decode_text(path.read_bytes()).splitlines())
    return tuple(line for line in lines if line)
