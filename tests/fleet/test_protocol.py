"""Messages through a pipe: whole, in pieces, and what is none."""

from __future__ import annotations

import os
import pickle
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from framelane.fleet.protocol import Changed, Failed, Inbox, PipeBrokenError, send
from framelane.telemetry.states import StreamState

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = Changed(StreamState("cam", "live", "ok", "frames arrive", 1.0))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    receiver, sender = os.pipe()
    yield receiver, sender
    for descriptor in (receiver, sender):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_inbox_gives_messages_in_order(pipe: tuple[int, int]) -> None:
    send(pipe[1], STATE)
    send(pipe[1], Failed(3, "no model"))
    assert Inbox(pipe[0]).wait(1.0) == [STATE, Failed(3, "no model")]


def test_inbox_puts_a_message_together_that_is_larger_than_the_pipe(pipe: tuple[int, int]) -> None:
    large = Failed(1, "x" * 3_000_000)
    sender = threading.Thread(target=send, args=(pipe[1], large))
    sender.start()
    inbox = Inbox(pipe[0])
    found: list[object] = []
    while not found:
        found += inbox.wait(1.0)
    sender.join()
    assert found == [large]


def test_inbox_sees_the_end_and_waits_no_longer(pipe: tuple[int, int]) -> None:
    inbox = Inbox(pipe[0])
    assert inbox.wait(0.0) == []
    assert not inbox.ended
    os.close(pipe[1])
    assert inbox.wait(10.0) == []
    assert inbox.ended
    assert inbox.wait(10.0) == []


@pytest.mark.parametrize(
    "body", [b"\xff" * 64, struct.pack(">I", 4) + b"oops", struct.pack(">I", 5) + pickle.dumps(1)]
)
def test_inbox_refuses_what_is_no_message(pipe: tuple[int, int], body: bytes) -> None:
    os.write(pipe[1], body)
    with pytest.raises(PipeBrokenError):
        Inbox(pipe[0]).wait(1.0)
