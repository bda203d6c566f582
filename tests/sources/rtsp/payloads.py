"""RTP payloads of H.264 (RFC 6184) and H.265 (RFC 7798), made by hand or of a coded file, and what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from framelane.sources.codecs.nal_units import START_CODE
from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from framelane.sources.rtsp.rtp_unit import RtpUnit

Codec = Literal["h264", "hevc"]
# Headers of NAL units by name (H.264 table 7-1, H.265 table 7-1).
H264 = {
    "key": b"\x65",
    "slice": b"\x41",
    "unneeded": b"\x01",
    "sets": b"\x67",
    "aud": b"\x09",
    "sei": b"\x06",
}
HEVC = {
    "key": b"\x26\x01",
    "slice": b"\x02\x01",
    "unneeded": b"\x00\x01",
    "sets": b"\x40\x01",
    "aud": b"\x46\x01",
    "sei": b"\x4e\x01",
}
HEADERS: dict[Codec, dict[str, bytes]] = {"h264": H264, "hevc": HEVC}
CODECS: tuple[Codec, ...] = ("h264", "hevc")
TICKS = 3600  # of 90 kHz, at 25 pictures a second


class Packet(NamedTuple):
    """What the reader knows of an RTP packet, and whether it gets lost."""

    payload: bytes
    stamp: int
    marked: bool = False
    lost: bool = False


def nal(codec: Codec, kind: str, size: int = 20, *, first: bool = True) -> bytes:
    """A NAL unit; a slice is its picture's first where `first` says so."""
    return HEADERS[codec][kind] + (b"\xaa" if first else b"\x2a") * size


def aggregate(codec: Codec, nals: Iterable[bytes]) -> bytes:
    """STAP-A or AP."""
    header = b"\x78" if codec == "h264" else b"\x60\x01"
    return header + b"".join(len(each).to_bytes(2, "big") + each for each in nals)


def fragments(codec: Codec, whole: bytes, size: int) -> list[bytes]:
    """FU-A or FU with that many bytes of the NAL unit each."""
    head = 1 if codec == "h264" else 2
    kind = whole[0] & 0x1F if codec == "h264" else (whole[0] >> 1) & 0x3F
    indicator = (
        bytes([whole[0] & 0xE0 | 28]) if codec == "h264" else bytes([whole[0] & 0x81 | 49 << 1, whole[1]])
    )
    pieces = [whole[at : at + size] for at in range(head, len(whole), size)]
    last = len(pieces) - 1
    return [
        indicator + bytes([(0x80 if n == 0 else 0) | (0x40 if n == last else 0) | kind]) + piece
        for n, piece in enumerate(pieces)
    ]


def picture(stamp: int, *payloads: bytes, marks: Literal["last", "all", "none"] = "last") -> list[Packet]:
    """The packets of one picture."""
    last = len(payloads) - 1
    return [
        Packet(payload, stamp, marks == "all" or (marks == "last" and number == last))
        for number, payload in enumerate(payloads)
    ]


def slices(codec: Codec, kind: str, count: int) -> list[bytes]:
    """The slices of one picture."""
    return [nal(codec, kind, first=number == 0) for number in range(count)]


def lose(packets: Iterable[Packet], *numbers: int) -> list[Packet]:
    """The same, of which these get lost."""
    return [packet._replace(lost=number in numbers) for number, packet in enumerate(packets)]


class Reader:
    """Feeds packets; knows of each unit with which packet it came. Packet n is read at n seconds."""

    def __init__(self, codec: Codec, *, early: bool = True) -> None:
        self.units: list[RtpUnit] = []
        self.came_with: list[int] = []
        self.rtp = RtpUnits(codec, self._take, early=early)
        self._number = -1

    def _take(self, unit: RtpUnit) -> None:
        self.units.append(unit)
        self.came_with.append(self._number)

    def feed(self, *packets: Packet | Sequence[Packet]) -> Reader:
        """Feed packets, or lists of them."""
        for each in packets:
            for packet in [each] if isinstance(each, Packet) else each:
                self._number += 1
                if packet.lost:
                    self.rtp.lost()
                else:
                    self.rtp.feed(packet.payload, packet.stamp, float(self._number), marked=packet.marked)
        return self

    @property
    def whole(self) -> list[bool]:
        """Of each unit."""
        return [unit.whole for unit in self.units]


def annex_b(*nals: bytes) -> bytes:
    """NAL units behind start codes."""
    return b"".join(START_CODE + each for each in nals)
