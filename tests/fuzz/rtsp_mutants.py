"""Cameras that say something damaged, made of what real servers have said: mutant n of a seed is always the same."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from tests.fuzz.rtsp_answers import damaged_answers, damaged_description
from tests.fuzz.rtsp_packets import damaged_packet

from framelane.demo.rtsp.packets import load_clip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Kind = Literal["answer", "description", "packet"]

SESSION_PACKETS = 50
"""Damaged packets of one session."""
_TICKS = 3600
_BY_UDP = 0.3
"""Share of sessions whose packets come as datagrams."""
_LENGTH = re.compile(rb"(?i)\ncontent-length:\s*(\d+)")
_ENCODINGS = {"h264": (96, "H264"), "hevc": (96, "H265"), "mjpeg": (26, "JPEG")}


class Seeds(NamedTuple):
    """What mutants are made of.

    Attributes:
        transcripts: what servers have said during a handshake, each a tuple of whole answers.
        films: framed RTP packets of short streams, by codec.
    """

    transcripts: tuple[tuple[bytes, ...], ...]
    films: dict[str, tuple[bytes, ...]]


class Mutant(NamedTuple):
    """What one camera says.

    Attributes:
        kind: what is damaged in it.
        connections: what comes on the first connection, and on those to which it redirects.
        pieces: what comes while it plays, as it is read.
        datagrams: packets that come beside the connection after that.
        damages: damaged answers, descriptions or packets in it.
    """

    kind: Kind
    connections: tuple[bytes, ...]
    pieces: tuple[bytes, ...] = ()
    damages: int = 1
    datagrams: tuple[bytes, ...] = ()


def load_seeds(transcripts: Path, clips: Sequence[Path]) -> Seeds:
    """Read recorded transcripts (`*.txt`), and make packets of clips."""
    recorded = tuple(answers_in(path.read_bytes()) for path in sorted(transcripts.glob("*.txt")))
    films = {}
    for path in clips:
        clip, film = load_clip(path), list[bytes]()
        for number, unit in enumerate(clip.units):
            block = unit.stamped(len(film), _TICKS * number, 7)
            film += [b"$\x00" + len(packet).to_bytes(2, "big") + packet for packet in block.packets()]
        films[clip.codec] = tuple(film)
    return Seeds(recorded, films)


def answers_in(recorded: bytes) -> tuple[bytes, ...]:
    """The whole answers in what a server has said."""
    found = []
    while recorded:
        head, _, rest = recorded.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        found.append(head + b"\r\n\r\n" + rest[:size])
        recorded = rest[size:]
    return tuple(found)


def opening(codec: str) -> bytes:
    """What a server says that plays such a stream."""
    kind, name = _ENCODINGS[codec]
    sdp = f"v=0\r\nm=video 0 RTP/AVP {kind}\r\na=rtpmap:{kind} {name}/90000\r\n".encode()
    ok = b"RTSP/1.0 200 OK\r\n"
    described = ok + b"Content-Length: %d\r\n\r\n" % len(sdp) + sdp
    set_up = ok + b"Session: 7\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
    return ok + b"\r\n" + described + set_up + ok + b"\r\n"


def make_mutant(seeds: Seeds, seed: int, number: int) -> Mutant:
    """Mutant `number` of a seed."""
    dice = random.Random(f"{seed}/{number}")
    # A session of packets counts as many.
    kind: Kind = dice.choices(("answer", "description", "packet"), (20, 20, 3))[0]
    if kind == "packet":
        return _damaged_film(dice, seeds)
    answers = dice.choice(seeds.transcripts)
    damage = damaged_answers if kind == "answer" else damaged_description
    said = damage(dice, answers)
    elsewhere = b"".join(dice.choice(seeds.transcripts))
    return Mutant(kind, (said, damage(dice, answers), elsewhere))


def _damaged_film(dice: random.Random, seeds: Seeds) -> Mutant:
    codec = dice.choice(tuple(seeds.films))
    film = seeds.films[codec]
    first = dice.randrange(max(len(film) - SESSION_PACKETS, 1))
    packets = [damaged_packet(dice, packet) for packet in film[first : first + SESSION_PACKETS]]
    for _ in range(dice.choice((0, 0, 1, 5))):
        packets.insert(dice.randint(0, len(packets)), packets.pop(dice.randrange(len(packets))))
    if dice.random() < _BY_UDP:
        datagrams = tuple(packet[4:] for packet in packets)
        return Mutant("packet", (opening(codec),), (b"\r\n",), len(packets), datagrams)
    pieces = tuple(_in_pieces(dice, b"".join(packets)))
    return Mutant("packet", (opening(codec),), pieces, len(packets))


def _in_pieces(dice: random.Random, said: bytes) -> list[bytes]:
    """As a socket would give them."""
    size, at, pieces = dice.choice((65536, 1448, 200, 11)), 0, []
    while at < len(said):
        end = at + (dice.randint(1, 2 * size) if dice.random() < 0.3 else size)
        pieces.append(said[at:end])
        at = end
    return pieces
