from __future__ import annotations

import random
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from framelane.telemetry.status import (
    ENDED,
    NodeState,
    StatusBoard,
    StreamDetails,
    StreamState,
)
from framelane.telemetry.stream_status import NullReconnectMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.telemetry.meters import Meters

    from .conftest import FakeClock


class Seen:
    def __init__(self) -> None:
        self.streams: list[StreamState] = []
        self.nodes: list[NodeState] = []

    def words(self) -> list[str]:
        return [f"{state.state} {state.reason}" for state in self.streams]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def board(clock: FakeClock, seen: Seen) -> StatusBoard:
    return StatusBoard(clock, seen.streams.append, seen.nodes.append)


def test_stream_goes_from_connecting_to_live_at_its_first_frame(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    clock.advance(1.0)
    lobby.connecting()
    details = StreamDetails("h264", 640, 480, 25.0, "cpu")
    lobby.opened(details)
    assert board.streams()[0].state == "connecting"
    clock.advance(1.0)
    lobby.frame_seen(clock.monotonic())

    (state,) = board.streams()
    assert seen.words() == ["connecting starting", "connecting opening", "live ok"]
    assert (state.state, state.since, state.reconnects) == ("live", clock.wall(), 0)
    assert (state.details, state.last_frame_s) == (details, clock.monotonic())
    assert seen.streams[-1].details == details


def test_since_stays_when_only_the_reason_changes(board: StatusBoard, clock: FakeClock) -> None:
    lobby = board.stream("lobby")
    lobby.down("refused", "nothing listens")
    since = clock.wall()
    clock.advance(5.0)
    lobby.down("timeout", "no answer")
    assert (board.streams()[0].since, board.streams()[0].reason) == (since, "timeout")


def test_nothing_is_reported_when_nothing_changed(board: StatusBoard, seen: Seen, clock: FakeClock) -> None:
    lobby = board.stream("lobby")
    for _ in range(3):
        lobby.down("refused", "nothing listens")
        lobby.described(StreamDetails())
        board.tick()
    for _ in range(3):
        lobby.frame_seen(clock.monotonic())
        clock.advance(0.04)
    assert seen.words() == ["connecting starting", "down refused", "live ok"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("live", 0),
        ("connecting live", 0),
        ("down connecting down connecting live", 0),
        ("live down live", 1),
        ("live connecting live", 1),
        ("live stalled live", 0),
        ("live stalled down connecting stalled live", 1),
        ("live down connecting down connecting live", 1),
        ("live down live down live", 2),
    ],
)
def test_reconnects_counts_returns_after_a_loss(
    board: StatusBoard, meters: Meters, path: str, expected: int
) -> None:
    lobby = board.stream("lobby", meter=meters.stream("lobby"))
    for step in path.split():
        board.change(lobby, step, "word", "text")  # type: ignore[arg-type]
    assert board.streams()[0].reconnects == expected
    assert meters.stream("lobby").snapshot().reconnects == expected


@pytest.mark.parametrize(
    ("declared_fps", "interval_s", "read_timeout_s", "stalls_after_s"),
    [
        (25.0, 0.04, 5.0, 4.08),
        (25.0, 0.04, 2.0, 1.68),
        (None, 0.04, 5.0, 4.08),
        (90_000.0, 0.1, 5.0, 4.2),  # cameras that declare their clock rate
        (0.5, 2.0, 5.0, 8.0),
        (None, 30.0, 5.0, 64.0),
    ],
)
def test_tick_marks_a_silent_stream_as_stalled_in_time(
    board: StatusBoard,
    clock: FakeClock,
    declared_fps: float | None,
    interval_s: float,
    read_timeout_s: float,
    stalls_after_s: float,
) -> None:
    lobby = board.stream("lobby", read_timeout_s)
    lobby.opened(StreamDetails(fps=declared_fps))
    for _ in range(100):
        lobby.frame_seen(clock.monotonic())
        clock.advance(interval_s)
    clock.advance(-interval_s)

    clock.advance(stalls_after_s - 0.01)
    board.tick()
    assert board.streams()[0].state == "live"
    clock.advance(0.02)
    board.tick()
    assert (board.streams()[0].state, board.streams()[0].reason) == ("stalled", "silent")
    assert stalls_after_s + 0.5 <= 2 * interval_s + 5.0

    lobby.frame_seen(clock.monotonic())
    assert board.streams()[0].state == "live"


def test_tick_leaves_a_stream_alone_that_has_given_no_frame_since_it_was_opened(
    board: StatusBoard, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    lobby.frame_seen(clock.monotonic())
    lobby.down("lost", "gone")
    lobby.connecting()
    lobby.opened(StreamDetails(fps=25.0))
    clock.advance(100.0)
    board.tick()
    assert board.streams()[0].state == "connecting"


def test_a_live_stream_with_a_new_size_is_reported(board: StatusBoard, seen: Seen, clock: FakeClock) -> None:
    lobby = board.stream("lobby")
    lobby.opened(StreamDetails("h264", 640, 480))
    lobby.frame_seen(clock.monotonic())
    lobby.described(StreamDetails("h264", 1280, 720))
    assert [state.details.width for state in seen.streams] == [None, 640, 1280]


def test_texts_hold_no_credentials(board: StatusBoard, seen: Seen) -> None:
    board.stream("lobby").down("refused", "can't open rtsp://root:hunter22@10.0.0.7/stream1")
    board.broker_changed(connected=False, text="mqtt://app:hunter22@broker refused")
    assert "hunter22" not in repr(seen.streams) + repr(seen.nodes) + repr(board.node())


def test_node_is_degraded_while_the_spool_can_not_be_used(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    drive(board, clock, "live")
    board.spool_changed("the disk of mqtt://app:hunter22@broker is full")
    assert (board.node().state, board.node().reason) == ("degraded", "spool")
    assert "hunter22" not in board.node().text
    board.broker_changed(connected=False, text="no answer")
    assert (board.node().reason, board.node().text[:20]) == ("broker", "no answer; the disk ")
    board.broker_changed(connected=True)
    board.spool_changed(None)
    assert board.node().state == "online"
    assert {"spool", "broker"} <= {node.reason for node in seen.nodes}


def drive(board: StatusBoard, clock: FakeClock, states: str) -> None:
    for number, word in enumerate(states.split()):
        status = board.stream(f"s{number}")
        if word == "live":
            status.frame_seen(clock.monotonic())
        elif word == "finished":
            status.down(ENDED, "played to its end")
        elif word == "down":
            status.down("refused", "nothing listens")


@pytest.mark.parametrize(
    ("states", "broker", "stopping", "expected"),
    [
        ("live live", True, False, ("online", "ok", "all streams are live", 2)),
        ("live finished", True, False, ("online", "ok", "all streams are live", 1)),
        ("finished", True, False, ("online", "ok", "all streams are live", 0)),
        ("live down", True, False, ("degraded", "streams", "not live: s1", 1)),
        ("down live new", True, False, ("degraded", "streams", "not live: s0, s2", 1)),
        (
            "down down down down down down down",
            True,
            False,
            ("degraded", "streams", "not live: s0, s1, s2, s3, s4 and 2 more", 0),
        ),
        ("live", False, False, ("degraded", "broker", "the broker does not answer", 1)),
        ("down", False, False, ("degraded", "broker", "the broker does not answer", 0)),
        ("down", False, True, ("offline", "stopping", "the daemon stops", 0)),
    ],
)
def test_node_state_follows_streams_and_broker(
    board: StatusBoard,
    clock: FakeClock,
    states: str,
    broker: bool,  # noqa: FBT001 - a table
    stopping: bool,  # noqa: FBT001 - a table
    expected: tuple[str, str, str, int],
) -> None:
    drive(board, clock, states)
    board.broker_changed(connected=broker)
    if stopping:
        board.stopping()
    board.tick()
    node = board.node()
    assert (node.state, node.reason, node.text, node.streams_live) == expected
    assert node.streams == len(states.split())


def test_node_starts_until_all_streams_are_on_the_board(clock: FakeClock, seen: Seen) -> None:
    """The broker may be there before the first of them is, and nobody may take that for `online`."""
    board = StatusBoard(clock, seen.streams.append, seen.nodes.append, complete=False)
    board.broker_changed(connected=False)
    board.broker_changed(connected=True)
    for name in ("lobby", "yard"):
        board.stream(name)
    board.completed()
    told = [(node.state, node.reason, node.streams) for node in seen.nodes]
    assert told == [("degraded", "broker", 0), ("degraded", "starting", 0), ("degraded", "streams", 2)]


def test_node_without_streams_is_online_once_it_has_started(clock: FakeClock, seen: Seen) -> None:
    board = StatusBoard(clock, seen.streams.append, seen.nodes.append, complete=False)
    board.completed()
    assert [(node.state, node.reason) for node in seen.nodes] == [("online", "ok")]


def test_node_is_reported_at_once_for_a_new_state_and_at_the_tick_for_a_new_text(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    streams = [board.stream(f"s{number}") for number in range(4)]
    assert [node.reason for node in seen.nodes] == ["streams"]
    for status in streams[:3]:
        status.frame_seen(clock.monotonic())
    assert len(seen.nodes) == 1
    board.tick()
    board.tick()
    assert [node.text for node in seen.nodes[1:]] == ["not live: s3"]
    streams[3].frame_seen(clock.monotonic())
    assert [node.state for node in seen.nodes] == ["degraded", "degraded", "online"]


def test_node_since_stays_within_a_state(board: StatusBoard, clock: FakeClock) -> None:
    began = clock.wall()
    board.stream("a")
    clock.advance(10.0)
    board.broker_changed(connected=False)
    assert board.node().since == began
    board.broker_changed(connected=True)
    board.stream("a").frame_seen(clock.monotonic())
    assert board.node().since == clock.wall()


def test_removed_stream_is_heard_of_no_more(board: StatusBoard, seen: Seen, clock: FakeClock) -> None:
    lobby = board.stream("lobby")
    board.stream("door").frame_seen(clock.monotonic())
    board.remove("lobby")
    board.remove("never there")
    reports = len(seen.streams)
    lobby.down("lost", "gone")
    lobby.frame_seen(clock.monotonic())
    lobby.described(StreamDetails("h264"))
    assert len(seen.streams) == reports
    assert [state.stream for state in board.streams()] == ["door"]
    assert board.node().state == "online"


def test_callback_may_use_the_board(clock: FakeClock) -> None:
    heard: list[str] = []

    def on_change(state: StreamState) -> None:
        heard.append(state.state)
        if state.state == "down":
            made.stream("lobby").connecting()
            heard.append(made.streams()[0].state)

    made = StatusBoard(clock, on_change, lambda _node: None)
    made.stream("lobby").down("lost", "gone")
    assert heard == ["connecting", "down", "connecting", "connecting"]


def test_reports_go_on_when_a_callback_has_failed(clock: FakeClock) -> None:
    heard: list[str] = []

    def on_change(state: StreamState) -> None:
        heard.append(state.state)
        if state.state == "down":
            raise RuntimeError("the sink is full")

    board = StatusBoard(clock, on_change, lambda _node: None)
    lobby = board.stream("lobby")
    with pytest.raises(RuntimeError):
        lobby.down("lost", "gone")
    lobby.connecting()
    assert heard == ["connecting", "down", "connecting"]


def test_last_report_is_the_final_state_when_threads_race(clock: FakeClock) -> None:
    last: dict[str, StreamState] = {}
    nodes: list[NodeState] = []
    inside = threading.Lock()
    overlaps: list[str] = []

    def on_change(state: StreamState) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(state.stream)
            return
        time.sleep(0)  # let the others in, if they may come
        last[state.stream] = state
        inside.release()

    board = StatusBoard(clock, on_change, nodes.append)
    statuses = [board.stream(f"s{number}") for number in range(4)]

    def churn(seed: int) -> None:
        pick = random.Random(seed)
        acts: list[Callable[[int], None]] = [
            lambda index: statuses[index].frame_seen(clock.monotonic()),
            lambda index: statuses[index].down("lost", f"gone {pick.random()}"),
            lambda index: statuses[index].connecting(),
            lambda _index: board.tick(),
            lambda _index: board.broker_changed(connected=pick.random() > 0.5),
        ]
        for _ in range(400):
            pick.choice(acts)(pick.randrange(4))

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    board.tick()

    assert overlaps == []
    assert {state.stream: state.state for state in board.streams()} == {
        name: state.state for name, state in last.items()
    }
    assert nodes[-1] == board.node()


def test_removal_is_reported_after_the_last_state_and_once(clock: FakeClock) -> None:
    heard: list[str] = []
    board = StatusBoard(
        clock,
        lambda state: heard.append(f"{state.stream} {state.state}"),
        lambda _node: None,
        lambda stream: heard.append(f"{stream} removed"),
    )
    lobby = board.stream("lobby")
    lobby.frame_seen(clock.monotonic())
    board.remove("lobby")
    board.remove("lobby")
    lobby.down("lost", "gone")
    board.stream("lobby")
    assert heard == ["lobby connecting", "lobby live", "lobby removed", "lobby connecting"]


def test_renewed_stream_begins_anew_with_its_count_of_reconnects(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    old = board.stream("lobby")
    old.frame_seen(clock.monotonic())
    old.down("lost", "gone")
    old.frame_seen(clock.monotonic())
    new = board.renew("lobby", 5.0, NullReconnectMeter())
    old.down("lost", "the old thread ends")
    assert board.streams() == [new.current]
    assert (new.current.state, new.current.reconnects) == ("connecting", 1)
    new.frame_seen(clock.monotonic())
    assert seen.words()[-2:] == ["connecting starting", "live ok"]
    assert board.streams()[0].reconnects == 1


def test_what_another_process_says_of_an_unknown_stream_is_passed_over(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    board.adopt(StreamState("gone", "live", "ok", "frames arrive", clock.wall()))
    board.frames_seen({"gone": 1.0})
    assert (board.streams(), seen.streams) == ([], [])
