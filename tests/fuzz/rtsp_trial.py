"""Lets our reader meet a camera that says something damaged, without a network, and tells what came of it."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, cast
from unittest import mock

from framelane.config.sections.stream import StreamOptions
from framelane.core.errors import SourceError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.rtsp import client
from framelane.sources.rtsp.connection import broken_error
from framelane.sources.rtsp.errors import UnsupportedError
from framelane.sources.rtsp.source import RtspSource
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.rtsp_mutants import Mutant

    from framelane.sources.interfaces.units import Unit
    from framelane.sources.rtsp.reactor import Channel, Reactor

URL = "rtsp://admin:sesame@127.0.0.1/cam"
_OPTIONS = StreamOptions.model_validate({"open_timeout_s": 5.0})
_STEP_S = 0.01
_TICK_EVERY = 7
_SEND_BUFFER = 1 << 20


class Outcome(NamedTuple):
    """What came of a mutant.

    Attributes:
        reason: of the SourceError, "unsupported" if it was left to FFmpeg, "closed" if it played to its end.
        units: pictures that were handed on.
        took_s: how long it took.
    """

    reason: str
    units: int
    took_s: float


class _Clock:
    """Time passes with each look, so that mutants can't tell how fast the host is."""

    def __init__(self) -> None:
        self._now_s = 100.0

    def monotonic(self) -> float:
        self._now_s += _STEP_S / 100
        return self._now_s

    def wall(self) -> float:
        return 1_700_000_000.0 + self._now_s

    def step(self) -> None:
        self._now_s += _STEP_S


class _ByHand:
    """Reads when it is told to, as the reactor does when something has come."""

    def __init__(self) -> None:
        self._channel: Channel | None = None

    def add(self, channel: Channel) -> None:
        """Read this one."""
        self._channel = channel

    def remove(self, _channel: Channel) -> None:
        """Read nothing more."""
        self._channel = None

    def read(self) -> None:
        """Read what has come."""
        for callback in tuple(self._channel.callbacks.values()) if self._channel else ():
            try:
                callback()
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                self.end(broken_error(error))
            except SourceError as error:
                self.end(error)

    def tick(self) -> None:
        """Let the connection look after itself."""
        if self._channel is not None:
            self._channel.tick()

    def end(self, fault: SourceError) -> None:
        """Nothing more comes."""
        if self._channel is not None:
            self._channel.ended(fault)


def run_mutant(mutant: Mutant) -> Outcome:
    """Open a camera that says this, and play it.

    Raises:
        Exception: anything but a SourceError is a fault of the reader.
    """
    began_s, units = time.perf_counter(), list[int]()

    def put(unit: Unit) -> bool:
        units.append(unit.packet.size)
        return True

    reason = "closed"
    with _servers(mutant) as servers:
        try:
            _play(mutant, servers, put)
        except SourceError as error:
            reason = error.reason
            if not str(error) or "sesame" in str(error):
                raise AssertionError(f"what is said of the fault is wrong: {error}") from error
        except UnsupportedError:
            reason = "unsupported"
    return Outcome(reason, len(units), time.perf_counter() - began_s)


def _play(mutant: Mutant, servers: list[socket.socket], put: Callable[[Unit], bool]) -> None:
    clock, reactor = _Clock(), _ByHand()
    parts = SourceParts(clock, StreamMeter("cam"))
    source = RtspSource(URL, _OPTIONS, parts, cast("Reactor", reactor))
    try:
        source.start(put)
        for number, piece in enumerate(mutant.pieces):
            clock.step()
            servers[-1].send(piece)
            reactor.read()
            if number % _TICK_EVERY == 0:
                reactor.tick()
            source.check_end()
        if mutant.datagrams:
            source._units._playing.take_packets(list(mutant.datagrams), drained=True)
        reactor.end(SourceError("closed", "all of it has been played"))
        source.check_end()
    finally:
        source.close()


@contextmanager
def _servers(mutant: Mutant) -> Iterator[list[socket.socket]]:
    """Give each connection of the client what its server says, and the end of it unless more is to come."""
    ends: list[socket.socket] = []
    left = iter(mutant.connections)

    def dial(*_: object) -> socket.socket:
        ours, theirs = socket.socketpair()
        ends.append(theirs)
        ours.settimeout(0)
        theirs.settimeout(0)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        with suppress(BlockingIOError):
            theirs.sendall(next(left, b""))
        if not mutant.pieces:
            theirs.shutdown(socket.SHUT_WR)
        return ours

    try:
        with mock.patch.object(client, "dial", dial):
            yield ends
    finally:
        for each in ends:
            each.close()
