"""States of streams on the parent's board, and what the end of a worker makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from framelane.fleet.stream_states import StreamStates
from framelane.telemetry.states import ENDED, NodeState, StreamDetails, StreamState
from framelane.telemetry.status import StatusBoard

VIDEO = StreamDetails("h264", 640, 480)


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


class Node:
    def __init__(self) -> None:
        self.clock = Clock()
        self.states: list[StreamState] = []
        self.nodes: list[NodeState] = []
        self.board = StatusBoard(self.clock, self.states.append, self.nodes.append)
        self.relay = StreamStates(self.board, ("a", "b"), self.clock)
        self.states.clear()

    def tell(self, stream: str, state: Any, reason: str = "ok", reconnects: int = 0) -> None:
        self.clock.now_s += 1
        details = VIDEO if state == "live" else StreamDetails()
        at_s = self.clock.now_s
        self.relay.changed(StreamState(stream, state, reason, "text", at_s, reconnects, None, details))

    def story(self, stream: str) -> list[tuple[str, str, int]]:
        return [(s.state, s.reason, s.reconnects) for s in self.states if s.stream == stream]


@pytest.fixture
def node() -> Node:
    return Node()


def test_states_are_passed_on_and_make_the_nodes_state(node: Node) -> None:
    node.tell("a", "connecting", "opening")
    node.tell("a", "live")
    node.tell("b", "live")
    assert node.story("a") == [("connecting", "opening", 0), ("live", "ok", 0)]
    assert node.board.node().state == "online"


def test_a_state_that_is_no_news_is_not_reported(node: Node) -> None:
    node.tell("a", "live")
    node.tell("a", "live")
    assert len(node.states) == 1
    assert node.states[0].since == 101.0


def test_streams_are_down_while_their_worker_is_away_and_have_reconnected_when_live_again(node: Node) -> None:
    node.tell("a", "live")
    node.tell("b", "live")
    node.tell("a", "live", reconnects=2)
    node.relay.worker_ended(["a"], "its worker process w0 was ended by signal SIGKILL")
    assert (node.board.node().state, node.board.node().reason) == ("degraded", "streams")
    node.tell("a", "connecting", "starting")
    node.tell("a", "live")
    node.tell("a", "live", reconnects=1)
    assert node.story("a") == [
        ("live", "ok", 0),
        ("live", "ok", 2),
        ("down", "worker", 2),
        ("connecting", "starting", 2),
        ("live", "ok", 3),
        ("live", "ok", 4),
    ]
    assert node.relay.reconnects("a") == 4
    assert node.story("b") == [("live", "ok", 0)]


def test_a_stream_that_never_was_live_has_not_reconnected(node: Node) -> None:
    node.tell("a", "connecting", "opening")
    node.relay.worker_ended(["a"], "ended")
    node.tell("a", "live")
    assert node.story("a")[-1] == ("live", "ok", 0)


def test_a_stream_played_to_its_end_stays_so_when_its_worker_ends(node: Node) -> None:
    node.tell("a", "down", "finished")
    node.relay.worker_ended(["a", "b"], "ended")
    assert node.story("a") == [("down", "finished", 0)]
    assert node.relay.ended(["a", "b"]) == {"a"}


def test_times_of_frames_are_no_news_and_are_shown(node: Node) -> None:
    node.tell("a", "live")
    node.relay.frames_seen({"a": 55.0})
    assert len(node.states) == 1
    assert [state.last_frame_s for state in node.board.streams()] == [55.0, None]


def test_streams_do_not_stall_here_for_their_workers_watch_them(node: Node) -> None:
    node.tell("a", "live")
    node.relay.frames_seen({"a": node.clock.now_s})
    node.clock.now_s += 1000
    node.board.tick()
    assert node.story("a") == [("live", "ok", 0)]


def test_stream_comes_goes_and_what_is_still_said_of_it_is_passed_over(node: Node) -> None:
    node.relay.add("c")
    node.tell("c", "live")
    node.relay.remove("c")
    node.tell("c", "down", "lost")
    node.relay.worker_ended(("a", "c"), "it died")
    assert node.story("c") == [("connecting", "starting", 0), ("live", "ok", 0)]
    assert [state.stream for state in node.board.streams()] == ["a", "b"]
    assert (node.relay.reconnects("c"), node.relay.ended(("c",))) == (0, set())


def test_ended_stream_begins_again_when_it_was_changed(node: Node) -> None:
    node.tell("a", "down", ENDED)
    node.tell("b", "live")
    for stream in ("a", "b"):
        node.relay.renew(stream)
    assert node.relay.ended(("a", "b")) == set()
    assert [state.state for state in node.board.streams()] == ["connecting", "live"]
