"""One thread for many connections: what has come, ends, faults that cost one of them alone, and no call too late."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.rtsp.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Connect = Callable[..., "Wire"]
CHUNK = 64 << 10


class Wire:
    """A connection whose other end is the test's; `raises` says what each feed or tick of it ends with."""

    def __init__(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self.socket, self.far = pair
        self.socket.settimeout(0)
        self.changed = threading.Condition()
        self.data = b""
        self.calls = self.ticks = 0
        self.due_s: float | None = None
        self.faults: list[SourceError] = []
        self.raises: Exception | None = None
        self.tick_raises: Exception | None = None
        self.end_raises: Exception | None = None

    @property
    def callbacks(self) -> dict[int, Callable[[], None]]:
        return {self.socket.fileno(): self.read}

    def read(self) -> None:
        data = self.socket.recv(CHUNK)
        if not data:
            raise SourceError("lost", "the other side ended the stream")
        self.feed(data)

    def feed(self, data: bytes) -> None:
        with self.changed:
            self.calls += 1
            self.data += data
            self.changed.notify_all()
        if self.raises is not None:
            raise self.raises

    def tick(self) -> None:
        with self.changed:
            self.calls += 1
            self.ticks += 1
            self.changed.notify_all()
        if self.tick_raises is not None:
            raise self.tick_raises

    def ended(self, fault: SourceError) -> None:
        with self.changed:
            self.calls += 1
            self.faults.append(fault)
            self.changed.notify_all()
        if self.end_raises is not None:
            raise self.end_raises

    def wait_for(self, happened: Callable[[], bool], timeout_s: float = 30.0) -> None:
        with self.changed:
            assert self.changed.wait_for(happened, timeout_s), (self.data[:50], self.faults)

    def wait_for_data(self, data: bytes) -> None:
        self.wait_for(lambda: self.data == data)

    def wait_for_fault(self) -> tuple[str, str]:
        self.wait_for(lambda: bool(self.faults))
        return self.faults[0].reason, str(self.faults[0])


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor(SystemClock())
    yield reactor
    assert reactor.stop(10.0)


@pytest.fixture
def connect(reactor: Reactor) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connected(pair: tuple[socket.socket, socket.socket] | None = None) -> Wire:
            wire = Wire(pair or socket.socketpair())
            stack.enter_context(wire.socket)
            stack.enter_context(wire.far)
            reactor.add(wire)
            stack.callback(reactor.remove, wire)
            return wire

        yield connected


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]


def test_data_is_handed_on_as_it_comes(connect: Connect) -> None:
    wire = connect()
    wire.far.sendall(b"one")
    wire.wait_for_data(b"one")
    wire.far.sendall(b"two")
    wire.wait_for_data(b"onetwo")


def test_what_came_before_the_connection_was_added_is_read(reactor: Reactor, connect: Connect) -> None:
    near, far = socket.socketpair()
    far.sendall(b"early")
    connect((near, far)).wait_for_data(b"early")


def test_the_end_of_a_connection_is_told_once(reactor: Reactor, connect: Connect) -> None:
    wire, other = connect(), connect()
    wire.far.sendall(b"last words")
    wire.far.close()
    assert wire.wait_for_fault() == ("lost", "the other side ended the stream")
    assert wire.data == b"last words"
    ticks = other.ticks
    other.wait_for(lambda: other.ticks >= ticks + 2)
    assert len(wire.faults) == 1


def test_a_reset_is_told(connect: Connect) -> None:
    wire = connect(tcp_pair())
    wire.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.far.close()
    assert wire.wait_for_fault() == ("lost", "the connection broke (Connection reset by peer)")


def test_a_connection_that_makes_no_sense_ends_with_its_own_fault(connect: Connect) -> None:
    wire, other = connect(), connect()
    wire.raises = SourceError("invalid", "what comes is not RTSP")
    wire.far.sendall(b"rubbish")
    assert wire.wait_for_fault() == ("invalid", "what comes is not RTSP")
    wire.far.sendall(b"more of it")
    other.far.sendall(b"sense")
    other.wait_for_data(b"sense")
    assert wire.data == b"rubbish"


def test_connections_look_after_themselves_twice_a_second(connect: Connect) -> None:
    wire = connect()
    wire.wait_for(lambda: wire.ticks >= 3)


def test_a_connection_is_looked_after_sooner_when_it_is_due(connect: Connect) -> None:
    wire = connect()
    wire.wait_for(lambda: wire.ticks >= 1)
    clock = SystemClock()
    at_s: list[float] = []

    def tick() -> None:
        if wire.due_s is not None and clock.monotonic() >= wire.due_s:
            at_s.append(clock.monotonic() - wire.due_s)
            wire.due_s = None
        Wire.tick(wire)

    wire.tick = tick  # type: ignore[method-assign] # one more thing to do
    wire.due_s = clock.monotonic() + 0.05
    wire.far.sendall(b"x")
    wire.wait_for(lambda: bool(at_s))
    assert at_s[0] < 0.3


def test_a_connection_that_is_due_for_ever_harms_nobody(connect: Connect) -> None:
    wire, other = connect(), connect()
    wire.due_s = 0.0
    wire.far.sendall(b"x")
    wire.wait_for(lambda: wire.ticks > 20)
    other.far.sendall(b"data")
    other.wait_for_data(b"data")
    wire.due_s = None


def test_all_sockets_of_a_camera_are_read_and_let_go_together(reactor: Reactor, connect: Connect) -> None:
    wire = connect()
    with ExitStack() as stack:
        near, far = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        near.settimeout(0)

        class Both(Wire):
            @property
            def callbacks(self) -> dict[int, Callable[[], None]]:
                return {**super().callbacks, near.fileno(): lambda: self.feed(near.recv(CHUNK))}

        both = Both(socket.socketpair())
        stack.enter_context(both.far)
        with both.socket:
            reactor.add(both)
            both.far.sendall(b"stream ")
            both.wait_for_data(b"stream ")
            far.send(b"datagram")
            both.wait_for_data(b"stream datagram")
            both.far.close()
            assert both.wait_for_fault()[0] == "lost"
            far.send(b"too late")
            wire.far.sendall(b"x")
            wire.wait_for_data(b"x")
            assert both.data == b"stream datagram"
            reactor.remove(both)


def keep_sending(wire: Wire, over: threading.Event) -> threading.Thread:
    def send() -> None:
        wire.far.settimeout(0.05)
        while not over.is_set():
            with suppress(TimeoutError):
                wire.far.send(bytes(1000))

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_connection_is_never_called_once_it_is_removed(reactor: Reactor, connect: Connect) -> None:
    over = threading.Event()
    witness = connect()
    for _ in range(30):
        wire = connect()
        sender = keep_sending(wire, over)
        wire.wait_for(lambda wire=wire: wire.calls > 20)  # type: ignore[misc] # bound at once
        reactor.remove(wire)
        calls = wire.calls
        seen = witness.calls
        witness.far.sendall(b"x")
        witness.wait_for(lambda seen=seen: witness.calls > seen)  # type: ignore[misc] # as above
        assert wire.calls == calls
        over.set()
        sender.join()
        over.clear()


def test_a_removal_waits_for_a_call_that_runs(reactor: Reactor, connect: Connect) -> None:
    inside, go_on, removed = threading.Event(), threading.Event(), threading.Event()

    class Slow(Wire):
        def feed(self, data: bytes) -> None:
            inside.set()
            go_on.wait(30)

    near, far = socket.socketpair()
    with near, far:
        wire = Slow((near, far))
        reactor.add(wire)
        far.sendall(b"x")
        assert inside.wait(30)

        def remove() -> None:
            reactor.remove(wire)
            removed.set()

        remover = threading.Thread(target=remove)
        remover.start()
        assert not removed.wait(0.1)
        go_on.set()
        remover.join(30)
        assert removed.is_set()


def test_a_removed_connection_may_be_removed_again_and_its_number_used_by_another(
    reactor: Reactor, connect: Connect
) -> None:
    first = connect()
    number = first.socket.fileno()
    reactor.remove(first)
    first.socket.close()
    second = connect()
    reactor.remove(first)
    second.far.sendall(b"mine")
    second.wait_for_data(b"mine")
    assert first.data == b""
    assert second.socket.fileno() == number


def test_many_connections_all_get_what_is_theirs(connect: Connect) -> None:
    wires = [connect() for _ in range(200)]
    for turn in range(5):
        for number, wire in enumerate(wires):
            wire.far.sendall(b"%d:%d;" % (number, turn))
    for number, wire in enumerate(wires):
        wire.wait_for_data(b"".join(b"%d:%d;" % (number, turn) for turn in range(5)))


def test_a_fault_that_nobody_foresaw_ends_one_connection_and_delays_no_other(
    reactor: Reactor, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(reactor, "rest", waits.append)
    wires = [connect() for _ in range(20)]
    for wire in wires[::2]:
        wire.raises = ZeroDivisionError("by surprise")
    for wire in wires:
        wire.far.sendall(b"data")
    for wire in wires[1::2]:
        wire.wait_for_data(b"data")
    why = "reading the camera's data failed with ZeroDivisionError; the log has the traceback"
    assert {wire.wait_for_fault() for wire in wires[::2]} == {("failed", why)}
    wires[0].far.sendall(b"again")
    wires[1].far.sendall(b" again")
    wires[1].wait_for_data(b"data again")
    assert (wires[0].data, waits, reactor.alive) == (b"data", [], True)
    assert [len(wire.faults) for wire in wires] == [1, 0] * 10


def test_a_connection_that_fails_to_look_after_itself_ends_alone(reactor: Reactor, connect: Connect) -> None:
    bad, good = connect(), connect()
    bad.tick_raises = KeyError("by surprise")
    reason, text = bad.wait_for_fault()
    assert (reason, "KeyError" in text) == ("failed", True)
    ticks = good.ticks
    good.wait_for(lambda: good.ticks >= ticks + 2)
    assert len(bad.faults) == 1


def test_a_connection_that_fails_at_its_end_as_well_harms_nobody(
    reactor: Reactor, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(reactor, "rest", waits.append)
    bad, good = connect(), connect()
    bad.raises = bad.end_raises = ValueError("by surprise")
    bad.far.sendall(b"x")
    bad.wait_for_fault()
    good.far.sendall(b"data")
    good.wait_for_data(b"data")
    assert (reactor.alive, len(bad.faults), waits) == (True, 1, [])


def test_the_thread_ends_while_data_comes(connect: Connect, reactor: Reactor) -> None:
    over = threading.Event()
    wire = connect()
    sender = keep_sending(wire, over)
    wire.wait_for(lambda: wire.calls > 3)
    assert reactor.stop(10.0)
    calls = wire.calls
    over.set()
    sender.join()
    assert wire.calls == calls
    wait_until(lambda: not reactor.alive)
