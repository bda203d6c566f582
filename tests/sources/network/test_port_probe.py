"""Whether a host listens again: told once it has not, in time, and with one connection a knock."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from framelane.sources.network.port_probe import PROBE_S, PortProbe


def listen(port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
    listener.listen(16)
    listener.settimeout(0.0)
    return listener


def calls(listener: socket.socket) -> int:
    """How many have called so far."""
    count = 0
    try:
        while True:
            listener.accept()[0].close()
            count += 1
    except BlockingIOError:
        return count


def no_pause(_seconds: float) -> bool:
    return False


def short_pause(seconds: float) -> bool:
    time.sleep(min(seconds, 0.02))
    return False


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
@pytest.mark.parametrize(
    ("family", "host"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]"), (socket.AF_INET, "user:p%40ss@localhost")],
)
def test_door_opens_when_somebody_listens_who_did_not(
    scheme: str, family: socket.AddressFamily, host: str
) -> None:
    try:
        listener = listen(family=family)
    except OSError:
        pytest.skip("this host has no IPv6")
    port = listener.getsockname()[1]
    listener.close()
    door = PortProbe(f"{scheme}://{host}:{port}/cam", shut=False)
    assert [door.opens(short_pause)[0] for _ in range(4)] == [False] * 4
    listener = listen(port, family)
    with listener:
        # localhost may stand for IPv6 too, where nobody listens.
        assert any(door.opens(short_pause)[0] for _ in range(4))


def test_door_does_not_open_when_it_was_never_shut() -> None:
    """The host is there, and it is something else that fails: to knock tells nothing."""
    with listen() as listener:
        door = PortProbe(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/cam", shut=False)
        assert [door.opens(no_pause) for _ in range(3)] == [(False, False)] * 3
        assert calls(listener) == 3


def test_door_opens_at_the_first_knock_when_it_is_known_to_be_shut() -> None:
    with listen() as listener:
        door = PortProbe(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/cam", shut=True)
        assert door.opens(no_pause) == (True, False)


def test_knock_takes_a_second_whatever_comes_of_it() -> None:
    paused: list[float] = []

    def pause(seconds: float) -> bool:
        paused.append(seconds)
        return False

    with listen() as listener:
        port = listener.getsockname()[1]
        PortProbe(f"rtsp://127.0.0.1:{port}/cam", shut=False).opens(pause)
        assert sum(paused) == pytest.approx(PROBE_S)
    paused.clear()
    PortProbe(f"rtsp://127.0.0.1:{port}/cam", shut=False).opens(pause)
    assert sum(paused) == pytest.approx(PROBE_S)
    paused.clear()
    PortProbe("rtsp://no-such-host.invalid/cam", shut=False).opens(pause)
    assert sum(paused) == pytest.approx(PROBE_S)


def test_knock_at_a_host_that_is_silent_ends_when_waiting_ends() -> None:
    """A full backlog answers nobody, as a host that is off."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.settimeout(0.0)
            filler.connect_ex(listener.getsockname())
        over = threading.Event()
        threading.Timer(0.2, over.set).start()
        door = PortProbe(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/cam", shut=True)
        began_s = time.monotonic()
        assert door.opens(over.wait) == (False, True)
        assert 0.15 < time.monotonic() - began_s < 0.7
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("url", ["rtsp://[::1/cam", "rtsp://cam:99999999/x", "/dev/video0"])
def test_door_stays_shut_when_the_url_makes_no_sense(url: str) -> None:
    assert PortProbe(url, shut=True).opens(no_pause) == (False, False)
