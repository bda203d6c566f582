"""Waits that end in time, or with the stream."""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from tests.sinks.examples import FakeClock

from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.rtsp.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def real(within_s: float = 5.0, *, stopped: bool = False) -> Deadline:
    clock, stopping = SystemClock(), threading.Event()
    if stopped:
        stopping.set()
    return Deadline(clock, stopping, clock.monotonic() + within_s, 1.0)


@pytest.mark.parametrize(("within_s", "expected"), [(3.0, 103.0), (10.0, 110.0), (11.0, 110.0)])
def test_limit_is_never_after_the_deadline(within_s: float, expected: float) -> None:
    assert expected == Deadline(FakeClock(100.0), threading.Event(), 110.0, 1.0).limit_s(within_s)


def test_left_is_negative_after_the_deadline() -> None:
    clock = FakeClock(100.0)
    deadline = Deadline(clock, threading.Event(), 110.0, 1.0)
    clock.advance(12.0)
    assert deadline.left_s == -2.0


def test_wait_ends_when_data_comes_or_the_limit_does(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    deadline = real()
    assert not deadline.wait(ours, select.POLLIN, deadline.limit_s(0.01))
    assert deadline.wait(ours, select.POLLOUT, deadline.limit_s(1.0))
    theirs.sendall(b"x")
    assert deadline.wait(ours, select.POLLIN, deadline.limit_s(1.0))
    # Not even for data that is there.
    assert not deadline.wait(ours, select.POLLIN, deadline.clock.monotonic())


@pytest.mark.parametrize(
    ("done", "within_s", "expected"), [(True, 5.0, True), (False, 0.01, False), (True, -1.0, True)]
)
def test_join_ends_with_the_event_or_the_deadline(within_s: float, *, done: bool, expected: bool) -> None:
    event = threading.Event()
    if done:
        event.set()
    assert expected is real(within_s).join(event)


def test_waits_end_with_an_error_when_the_stream_is_to_stop(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    deadline = real(stopped=True)
    for wait in (
        deadline.check,
        lambda: deadline.join(threading.Event()),
        lambda: deadline.wait(pair[0], select.POLLIN, deadline.limit_s(5.0)),
    ):
        with pytest.raises(SourceError, match="the source is closed") as caught:
            wait()
        assert caught.value.reason == "closed"
