"""Damages bytes of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Damage = Callable[[random.Random, bytes], bytes]

ODD_VALUES = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "65536",
    "4294967296",
    "9" * 40,
    "1e309",
    "nan",
    "\u0663\u0664",
    "\x00",
    "%00%ff",
    '"',
    "=",
    ";",
    ",",
    "*",
    "a" * 300,
    "é" * 40,
    "\udcff",
    "rtsp://",
    "rtsp://[::1",
    "rtsp://u:p@h:0/x",
    "file:///etc/passwd",
    "0x10",
    "1_0",
    "+5",
    " 7 ",
)


def _flip(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(min(dice.choice((1, 1, 3, 20)), len(data))):
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _cut(dice: random.Random, data: bytes) -> bytes:
    start, end = _slice(dice, data)
    return data[:start] + data[end:]


def _double(dice: random.Random, data: bytes) -> bytes:
    start, end = _slice(dice, data)
    return data[:end] + data[start:end] * dice.choice((1, 1, 30)) + data[end:]


def _truncate(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randint(0, len(data))]


def _insert_noise(dice: random.Random, data: bytes) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.randbytes(dice.choice((1, 2, 40))) + data[at:]


def _slice(dice: random.Random, data: bytes) -> tuple[int, int]:
    start = dice.randint(0, len(data))
    return start, min(start + dice.choice((1, 2, 10, 100)), len(data))


BYTE_DAMAGES: tuple[Damage, ...] = (_flip, _cut, _double, _truncate, _insert_noise)
