"""Builds NAL units from their fields (H.264 7.2 and 9.1)."""

from __future__ import annotations


def u(value: int, count: int) -> str:
    return f"{value:0{count}b}" if count else ""


def ue(value: int) -> str:
    coded = f"{value + 1:b}"
    return "0" * (len(coded) - 1) + coded


def se(value: int) -> str:
    return ue(2 * value - 1 if value > 0 else -2 * value)


def packed(*fields: str) -> bytes:
    """The fields' bits as bytes; a last byte that they don't fill ends with zeros."""
    bits = "".join(fields)
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def escaped(data: bytes) -> bytes:
    """With emulation prevention bytes (H.264 7.4.1)."""
    found = bytearray()
    for byte in data:
        if found[-2:] == b"\0\0" and byte <= 3:
            found.append(3)
        found.append(byte)
    return bytes(found)
