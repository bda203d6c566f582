from __future__ import annotations

import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from framelane.telemetry.meters import StreamMeter
from framelane.telemetry.states import ENDED, NodeState, StreamDetails, StreamState
from framelane.telemetry.status import StatusBoard

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


def test_node_is_degraded_while_uploads_fail_unless_something_else_matters_more(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    drive(board, clock, "live")
    board.upload_changed("https://app:hunter22@s3.example, bucket cams: can't connect")
    assert (board.node().state, board.node().reason) == ("degraded", "upload")
    assert "hunter22" not in board.node().text
    board.journal_changed("the disk is full")
    assert board.node().reason == "journal"
    board.journal_changed(None)
    board.upload_changed(None)
    assert board.node().state == "online"
    assert "upload" in {node.reason for node in seen.nodes}


def test_node_is_degraded_while_the_journal_can_not_be_used(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    drive(board, clock, "live")
    board.journal_changed("the journal can't be used: the disk is full")
    assert (board.node().state, board.node().reason) == ("degraded", "journal")
    board.spool_changed("the disk is full")
    assert board.node().reason == "spool"
    board.spool_changed(None)
    board.journal_changed(None)
    assert board.node().state == "online"
    assert "journal" in {node.reason for node in seen.nodes}


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
        ("down", False, False, ("degraded", "broker", "the broker does not answer; not live: s0", 0)),
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


def test_renewed_stream_begins_again_with_its_count_of_reconnects(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    old = board.stream("lobby")
    old.frame_seen(clock.monotonic())
    old.down("lost", "gone")
    old.frame_seen(clock.monotonic())
    new = board.renew("lobby", 5.0, StreamMeter("lobby"))
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


def test_a_live_stream_whose_model_fails_says_so_and_degrades_the_node(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    lobby.model_failing("model m fails on every batch: out of bounds")
    assert seen.words() == ["connecting starting"]
    lobby.opened(StreamDetails())
    lobby.frame_seen(clock.monotonic())
    lobby.hindered("late", "pictures are skipped to stay on time")
    (state,) = board.streams()
    assert (state.state, state.reason, state.model_failing) == ("live", "model", True)
    assert state.text == (
        "frames arrive; model m fails on every batch: out of bounds; pictures are skipped to stay on time"
    )
    node = board.node()
    assert (node.state, node.reason, node.text) == ("degraded", "model", f"stream lobby: {state.text}")
    lobby.model_failing("")
    lobby.hindered("", "")
    assert (board.streams()[0].reason, board.node().reason) == ("ok", "ok")


def test_a_stream_that_decodes_few_pictures_by_choice_is_not_stalled(
    board: StatusBoard, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    lobby.opened(StreamDetails(fps=25.0))
    for number in range(1000):
        lobby.unit_seen(clock.monotonic())
        if number % 250 == 0:
            lobby.frame_seen(clock.monotonic())
        clock.advance(0.04)
        board.tick()
        assert board.streams()[0].state == "live"


@pytest.mark.parametrize(
    ("reason", "text", "expected"),
    [
        ("damaged", "look for packet loss", "frames arrive, but none can be used: look for packet loss"),
        ("", "", "frames arrive, but none can be used: they can't be decoded"),
    ],
)
def test_a_stall_names_its_cause_while_pictures_arrive(
    board: StatusBoard, clock: FakeClock, reason: Any, text: str, expected: str
) -> None:
    lobby = board.stream("lobby")
    lobby.opened(StreamDetails())
    lobby.unit_seen(clock.monotonic())
    lobby.frame_seen(clock.monotonic())
    lobby.hindered(reason, text)
    for _ in range(200):
        clock.advance(0.04)
        lobby.unit_seen(clock.monotonic())
        lobby.frame_owed(clock.monotonic())
        board.tick()
    state = board.streams()[0]
    assert (state.state, state.reason, state.text) == ("stalled", reason or "undecodable", expected)
    lobby.frame_seen(clock.monotonic())
    assert board.streams()[0].state == "live"


def test_a_silent_stream_is_live_again_at_its_next_picture(board: StatusBoard, clock: FakeClock) -> None:
    """Even if that one is not decoded."""
    lobby = board.stream("lobby")
    lobby.opened(StreamDetails())
    for _ in range(2):
        lobby.unit_seen(clock.monotonic())
        lobby.frame_seen(clock.monotonic())
    clock.advance(10.0)
    board.tick()
    assert board.streams()[0].text == "the connection is open, but no frame arrives"
    lobby.unit_seen(clock.monotonic())
    assert board.streams()[0].state == "live"


def test_a_note_goes_when_it_is_taken_back(board: StatusBoard, seen: Seen, clock: FakeClock) -> None:
    lobby = board.stream("lobby")
    lobby.frame_seen(clock.monotonic())
    for note in ("odd", "odd", ""):
        lobby.noted("stamps", note)
        clock.advance(2.0)
        lobby.frame_seen(clock.monotonic())
        board.tick()
    assert [state.text for state in seen.streams if state.state == "live"] == [
        "frames arrive",
        "frames arrive; odd",
        "frames arrive",
    ]


def test_all_that_is_wrong_is_told_and_the_reason_is_the_first(board: StatusBoard, seen: Seen) -> None:
    board.stream("lobby").down("refused", "nothing listens")
    board.spool_changed("the disk is full")
    board.broker_changed(connected=False, text="connection refused")
    node = board.node()
    assert (node.reason, node.text) == (
        "broker",
        "connection refused; the disk is full; not live: lobby",
    )
    board.broker_changed(connected=True)
    assert (board.node().reason, board.node().text) == ("spool", "the disk is full; not live: lobby")
    board.spool_changed(None)
    assert (board.node().reason, board.node().text) == ("streams", "not live: lobby")
    board.tick()
    assert seen.nodes[-1] == board.node()


def test_start_names_what_is_wrong_beside_it(clock: FakeClock) -> None:
    board = StatusBoard(clock, lambda _state: None, lambda _node: None, complete=False)
    board.broker_changed(connected=False, text="connection refused")
    assert (board.node().reason, board.node().text) == ("broker", "connection refused; it starts")


def test_disabled_stream_is_shown_and_missed_by_nobody(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    board.stream("lobby").frame_seen(clock.monotonic())
    board.disable("attic")
    board.disable("attic")
    node = board.node()
    assert seen.words() == ["connecting starting", "live ok", "disabled disabled"]
    assert (node.state, node.streams, node.streams_live, node.streams_disabled) == ("online", 2, 1, 1)
    assert node.text == "all streams are live but 1 disabled"


def test_running_stream_that_is_disabled_says_nothing_any_more(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    lobby.frame_seen(clock.monotonic())
    board.disable("lobby")
    lobby.down("lost", "the other side ended the stream")
    clock.advance(60.0)
    board.tick()
    assert seen.words()[2:] == ["disabled disabled"]
    assert [each.state for each in board.streams()] == ["disabled"]
    again = board.renew("lobby")
    again.frame_seen(clock.monotonic())
    assert seen.words()[3:] == ["connecting starting", "live ok"]


@pytest.mark.parametrize(("count", "expected"), [(0, "there is no stream"), (2, "no stream is enabled")])
def test_node_without_a_stream_to_run_is_online(board: StatusBoard, count: int, expected: str) -> None:
    for number in range(count):
        board.disable(f"s{number}")
    board.completed()
    assert (board.node().state, board.node().text) == ("online", expected)


def test_going_live_is_logged_with_what_the_stream_is_and_how_long_it_took(
    board: StatusBoard, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    clock.advance(100.0)
    lobby.connecting()
    lobby.opened(StreamDetails("h264", 640, 480, 25.0, "cpu", "rtcp"))
    clock.advance(1.25)
    with capture_logs() as lines:
        lobby.frame_seen(clock.monotonic())
        lobby.frame_seen(clock.monotonic() + 0.04)
        clock.advance(60.0)
        board.tick()
        lobby.frame_seen(clock.monotonic())
    first, again = ({key: value for key, value in line.items() if key[0] != "_"} for line in lines)
    assert first == {
        "event": "stream_live", "log_level": "info", "stream": "lobby", "codec": "h264", "size": "640x480",
        "fps": 25.0, "clock": "rtcp", "decoder": "cpu", "took_s": 1.25, "before": "connecting",
    }  # fmt: skip
    assert (again["before"], again["took_s"]) == ("stalled", None)


def test_stream_that_changes_within_its_state_is_reported_once_per_second_and_last_wins(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    """As a folder with images of two sizes does, 24 times per second."""
    lobby = board.stream("lobby")
    lobby.opened(StreamDetails("mjpeg", 640, 480, 24.0, "cpu"))
    lobby.frame_seen(clock.monotonic())
    before = len(seen.streams)
    for picture in range(240):
        clock.advance(1 / 24)
        lobby.frame_seen(clock.monotonic())
        lobby.described(StreamDetails("mjpeg", 320 + 320 * (picture % 2), 240, 24.0, "cpu"))
        if picture % 12 == 0:
            board.tick()
    assert len(seen.streams) - before <= 10
    clock.advance(1.0)
    lobby.frame_seen(clock.monotonic())
    board.tick()
    board.tick()
    assert seen.streams[-1].details.width == 640
    assert 8 <= len(seen.streams) - before <= 11


def test_stream_with_a_new_state_is_reported_at_once(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    lobby.connecting()
    lobby.opened(StreamDetails("h264", 640, 480, 25.0, "cpu"))
    lobby.frame_seen(clock.monotonic())
    for width in (1280, 1920):
        lobby.described(StreamDetails("h264", width, 1080, 25.0, "cpu"))
    lobby.down("lost", "the camera hung up")
    assert seen.words() == ["connecting starting", "connecting opening", "live ok", "down lost"]
    assert [state.details.width for state in seen.streams[-2:]] == [640, 1920]
    clock.advance(2.0)
    board.tick()
    assert len(seen.streams) == 4


def test_stream_that_is_reported_late_is_reported_as_it_is_then(
    board: StatusBoard, seen: Seen, clock: FakeClock
) -> None:
    lobby = board.stream("lobby")
    lobby.opened(StreamDetails("h264", 640, 480, 25.0, "cpu"))
    lobby.frame_seen(clock.monotonic())
    for text in ("behind by 1 s", "behind by 2 s", ""):
        lobby.hindered("late" if text else "", text)
    lobby.noted("decoder", "the CPU decodes")
    assert seen.words() == ["connecting starting", "live ok", "live late"]
    clock.advance(1.0)
    lobby.frame_seen(clock.monotonic())
    board.tick()
    assert seen.streams[-1].text == "frames arrive; the CPU decodes"
    assert len(seen.streams) == 4
