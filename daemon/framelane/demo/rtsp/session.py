"""One RTSP session: a client's transport for one camera, from SETUP to TEARDOWN (RFC 2326 A)."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from framelane.demo.rtsp.camera import LiveCamera
    from framelane.demo.rtsp.subscriber import Subscriber

TransportKind = Literal["tcp", "udp"]
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?$")


@dataclass(frozen=True, slots=True)
class TransportOffer:
    """A supported alternative in a Transport header; `pair` is channels or client ports."""

    kind: TransportKind
    pair: tuple[int, int]


def parse_transport(header: str, allowed: tuple[TransportKind, ...]) -> TransportOffer | None:
    """Return the first supported alternative of a Transport header (RFC 2326 12.39), or None."""
    for alternative in header.split(","):
        protocol, *rest = [part.strip() for part in alternative.split(";")]
        parameters = dict(part.partition("=")[::2] for part in rest)
        if "multicast" in parameters:
            continue
        offer = _read_offer(protocol.upper(), parameters)
        if offer is not None and offer.kind in allowed:
            return offer
    return None


def _read_offer(protocol: str, parameters: dict[str, str]) -> TransportOffer | None:
    if protocol == "RTP/AVP/TCP":
        pair = _read_pair(parameters.get("interleaved", "0-1"), limit=255)
        return None if pair is None else TransportOffer("tcp", pair)
    if protocol in {"RTP/AVP", "RTP/AVP/UDP"}:
        pair = _read_pair(parameters.get("client_port", ""), limit=65_535)
        return None if pair is None else TransportOffer("udp", pair)
    return None


def _read_pair(text: str, limit: int) -> tuple[int, int] | None:
    match = _RANGE.match(text)
    if match is None:
        return None
    first = int(match[1])
    pair = (first, int(match[2]) if match[2] else first + 1)
    return pair if max(pair) <= limit else None


@dataclass(slots=True)
class Session:
    """A client's state: ready after SETUP, playing after PLAY."""

    camera: LiveCamera
    subscriber: Subscriber
    session_id: str = field(default_factory=lambda: secrets.token_hex(8))
    playing: bool = False
    seen_s: float = field(default_factory=time.monotonic)

    def touch(self) -> None:
        """Note that the client is alive."""
        self.seen_s = time.monotonic()

    def play(self) -> None:
        """Deliver frames; a repeated PLAY changes nothing."""
        if not self.playing:
            self.playing = True
            self.camera.subscribe(self.subscriber)

    def pause(self) -> None:
        """Deliver nothing until the next PLAY."""
        self.playing = False
        self.camera.unsubscribe(self.subscriber)

    def close(self) -> None:
        """Release the subscriber. A repeated call does nothing."""
        self.pause()
        self.subscriber.close()
