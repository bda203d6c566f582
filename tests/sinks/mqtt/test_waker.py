"""Waking a thread that polls."""

from __future__ import annotations

import select
import threading
from contextlib import closing

from framelane.sinks.mqtt.waker import Waker


def readable(waker: Waker, timeout_s: float = 0.0) -> bool:
    return bool(select.select([waker], [], [], timeout_s)[0])


def test_wake_does_nothing_until_armed() -> None:
    with closing(Waker()) as waker:
        waker.wake()
        assert not readable(waker)
        waker.arm()
        assert not readable(waker)
        waker.wake()
        assert readable(waker)


def test_wake_writes_once_for_each_arming() -> None:
    with closing(Waker()) as waker:
        waker.arm()
        for _ in range(3):
            waker.wake()
        assert waker._receiver.recv(64) == b"\0"
        assert not readable(waker)


def test_drain_makes_it_unreadable_and_may_be_called_without_need() -> None:
    with closing(Waker()) as waker:
        waker.drain()
        waker.arm()
        waker.wake()
        waker.drain()
        assert not readable(waker)
        waker.wake()
        assert not readable(waker)


def test_wake_does_nothing_after_disarm() -> None:
    with closing(Waker()) as waker:
        waker.arm()
        waker.disarm()
        waker.wake()
        assert not readable(waker)


def test_wake_ends_the_wait_of_another_thread() -> None:
    with closing(Waker()) as waker:
        waker.arm()
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(readable(waker, 10.0)))
        thread.start()
        waker.wake()
        thread.join()
        assert found == [True]


def test_wake_is_silent_when_the_buffer_is_full_or_all_is_closed() -> None:
    waker = Waker()
    waker._sender.setblocking(False)  # noqa: FBT003 - of the standard library
    for _ in range(100_000):
        waker.arm()
        waker.wake()
    assert readable(waker)
    waker.arm()
    waker.close()
    waker.wake()
    waker.close()
    assert waker.fileno() == -1


def test_wake_is_silent_when_the_other_end_is_gone() -> None:
    with closing(Waker()) as waker:
        waker.arm()
        waker._receiver.close()
        waker.wake()
