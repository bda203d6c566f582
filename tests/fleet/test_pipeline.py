"""The parent, with fake workers: what it says of the node, and how it starts and ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest
from tests.waiting import wait_until

from framelane.config.yaml.load import check_config, parse_config
from framelane.control.changes import LiveConfig
from framelane.core.errors import ConfigError, FramelaneError
from framelane.fleet.pipeline import FleetPipeline
from framelane.fleet.supervisor import SupervisorTimeouts
from framelane.messages.detections import Message
from framelane.node.daemon import make_node, make_service
from framelane.node.node import Node
from framelane.pipeline.local import LocalPipeline
from framelane.sinks.mqtt.spool.backlog import Entry
from framelane.sinks.mqtt.spool.file import SpoolFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from framelane.config.sections.schema import Config
    from framelane.fleet.shared_sink import SharedSink
    from framelane.fleet.supervisor import Supervisor

    Make = Callable[..., Node]

STREAMS = """
mqtt: {url: "mqtt://127.0.0.1:1"}
models: {m: {path: m.onnx}}
streams: [{id: a, url: "rtsp://127.0.0.1/a"}, {id: b, url: "rtsp://127.0.0.1/b"}]
"""
FAKE = Path(__file__).with_name("fake_worker.py")
QUICK = SupervisorTimeouts(look_s=0.02, silence_s=5.0, start_s=30.0, first_s=0.5, most_s=0.5, deaths=3)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    (tmp_path / "m.onnx").touch()
    text = """
node: {id: gate}
mqtt: {url: "mqtt://127.0.0.1:1"}
http: {listen: "127.0.0.1:0", ready: all}
workers: 2
models: {m: {path: m.onnx}}
streams: [{id: a, url: "rtsp://127.0.0.1/a"}, {id: b, url: "rtsp://127.0.0.1/b"}]
"""
    config = parse_config(text, tmp_path, {})
    made: list[Node] = []

    def fleet(mode: str, stopping: threading.Event | None = None, streams: int = 2) -> Node:
        command = (sys.executable, str(FAKE), mode, str(tmp_path / "starts"))
        wanted = config.model_copy(update={"streams": config.streams[:streams]})
        made.append(make_node(wanted, stopping or threading.Event(), timeouts=QUICK, command=command))
        return made[-1]

    yield fleet
    for each in made:
        each.stop(2.0)


def workers_of(node: Node) -> list[Supervisor]:
    assert isinstance(node.pipeline, FleetPipeline)
    return node.pipeline.supervisors


def session_of(node: Node) -> SharedSink:
    assert node._mqtt is not None
    return node._mqtt


def get(fleet: Node, path: str) -> httpx.Response:
    assert fleet.http is not None
    host, port = fleet.http.address
    return httpx.get(f"http://{host}:{port}{path}", timeout=10)


def told(node: Node) -> tuple[int, int, int]:
    health = node.publisher.health()[0]
    return health.queued, health.delivered, health.dropped


def test_parent_speaks_for_all_workers(make: Make) -> None:
    fleet = make("good")
    fleet.start()
    # Workers report one after another.
    wait_until(
        lambda: [each.received for each in fleet.pipeline.meters.snapshot().streams.values()] == [1, 1]
    )
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live", "live"])
    wait_until(lambda: told(fleet) == (4, 20, 2))
    assert 'framelane_engine_info{backend="onnxruntime"' in get(fleet, "/metrics").text
    assert get(fleet, "/healthz").json() == {"ok": True, "reasons": []}
    assert get(fleet, "/readyz").json() == {"ok": True, "reasons": []}
    assert not fleet.ended


def test_node_is_degraded_when_the_broker_refuses_one_worker(make: Make) -> None:
    fleet = make("refused")
    fleet.start()
    wait_until(lambda: fleet.board.node().reason == "broker")
    assert not fleet.publisher.health()[0].connected


def test_node_is_not_ready_while_a_worker_is_away(make: Make) -> None:
    fleet = make("dies-once")
    fleet.start()
    wait_until(lambda: workers_of(fleet)[0].restarts == 1)
    reply = get(fleet, "/readyz")
    assert reply.status_code == 503
    assert "worker w0 is not running" in reply.json()["reasons"]
    assert get(fleet, "/healthz").status_code == 200
    assert 'framelane_worker_up{worker="w0"} 0.0' in get(fleet, "/metrics").text
    wait_until(lambda: get(fleet, "/readyz").status_code == 200)
    assert [state.reconnects for state in fleet.board.streams()] == [1, 0]


def test_events_of_all_workers_come_together_and_those_of_a_lost_one_end(make: Make) -> None:
    fleet = make("sees-and-dies-once")
    published: list[Message] = []
    fleet.journal._publish = published.append
    fleet.start()
    wait_until(lambda: workers_of(fleet)[0].restarts == 1)
    # Worker w0 saw someone, died, and saw someone again.
    wait_until(lambda: sum(each.kind == "events" for each in published) == 7)
    bodies = [orjson.loads(each.payload) for each in published if each.kind == "events"]
    assert [(each["kind"], each.get("reason")) for each in bodies if each["stream"] == "a"] == [
        ("new", None),
        ("line", None),
        ("end", "restart"),
        ("new", None),
        ("line", None),
    ]
    assert len({each["object"]["id"] for each in bodies}) == 3
    wait_until(lambda: fleet.journal.health.dropped.get("queue") == 3)
    fleet.journal.conclude(10.0)
    bodies = [orjson.loads(each.payload) for each in published if each.kind == "events"]
    assert [each["reason"] for each in bodies[7:]] == ["stopped", "stopped"]


def test_worker_that_has_nothing_to_do_any_more_misses_no_broker(make: Make) -> None:
    fleet = make("good")
    fleet.start()
    wait_until(
        lambda: fleet.publisher.health()[0].connected is False
    )  # the parent's own session: there is no broker
    fleet.commit(fleet.config.model_copy(update={"streams": fleet.config.streams[:1]}))
    pid = workers_of(fleet)[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: workers_of(fleet)[1].idle)
    wait_until(lambda: [each.connected for each in fleet.pipeline.sinks("mqtt")] == [True, True])


def test_parent_delivers_what_a_worker_without_a_stream_left(make: Make) -> None:
    folder = Path(os.environ["STATE_DIRECTORY"]) / "spool" / "gate"
    folder.mkdir(parents=True)
    for name in ("w0", "w1"):
        with closing(SpoolFile(folder / f"{name}.spool", 1 << 20)) as spool:
            spool.write([Entry(Message("detections", "b", b'{"replayed":false}', retain=False), time.time())])
    fleet = make("good", streams=1)
    fleet.start()
    wait_until(lambda: not (folder / "w1.spool").exists())
    assert (folder / "w0.spool").exists()
    wait_until(lambda: session_of(fleet).own_health().queued >= 1)


def test_start_fails_with_the_workers_code_and_message_and_publishes_nothing(
    make: Make, tmp_path: Path
) -> None:
    fleet = make("bad-model")
    with pytest.raises(FramelaneError, match="says bad-model") as caught:
        fleet.start()
    assert caught.value.exit_code == 3
    assert not fleet.housekeeping.alive, "the parent's parts were started too"


def test_start_ends_when_the_daemon_is_told_to_stop_meanwhile(make: Make, tmp_path: Path) -> None:
    stopping = threading.Event()
    fleet = make("never-starts", stopping)
    threading.Timer(0.5, stopping.set).start()
    began_s = time.monotonic()
    fleet.start()
    fleet.stop(1.0)
    assert time.monotonic() - began_s < 10
    assert not any(each.alive for each in workers_of(fleet))
    assert not fleet.housekeeping.alive, "the parent's parts were started too"


def test_one_worker_runs_in_this_process(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    text = """
jsonl: {path: "-"}
models: {m: {path: m.onnx}}
streams: [{id: a, url: "rtsp://127.0.0.1/a"}, {id: b, url: "rtsp://127.0.0.1/b"}]
"""
    for rest, expected in (("", LocalPipeline), ("workers: 2", FleetPipeline)):
        (tmp_path / "framelane.yaml").write_text(text + rest)
        path = tmp_path / "framelane.yaml"
        live = LiveConfig(path, {}, check_config(path, {}))
        node = make_service(live).app
        assert isinstance(node, Node)
        assert isinstance(node.pipeline, expected)


def with_streams(fleet: Node, *names: str) -> Config:
    """The fleet's configuration with other streams."""
    template = fleet.config.streams[0]
    streams = [template.model_copy(update={"id": name}) for name in names]
    return fleet.config.model_copy(update={"streams": streams})


def go_over_to(fleet: Node, *names: str) -> None:
    config = with_streams(fleet, *names)
    fleet.prepare(config)
    fleet.commit(config)


def streams_of(fleet: Node) -> list[tuple[str, ...]]:
    return [each.share.streams for each in workers_of(fleet)]


def test_streams_are_dealt_to_running_workers(make: Make) -> None:
    fleet = make("good")
    fleet.start()
    go_over_to(fleet, "a", "b", "c")
    assert streams_of(fleet) == [("a", "c"), ("b",)]
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live"] * 3)
    wait_until(lambda: fleet.pipeline.meters.snapshot().streams["c"].received >= 1)
    go_over_to(fleet, "b", "c")
    assert streams_of(fleet) == [("c",), ("b",)]
    assert [state.stream for state in fleet.board.streams()] == ["b", "c"]
    assert list(fleet.pipeline.meters.snapshot().streams) == ["b", "c"]
    assert [each.restarts for each in workers_of(fleet)] == [0, 0]


def test_all_workers_are_told_to_try_logins_again(make: Make) -> None:
    fleet = make("good")
    fleet.start()
    fleet.retry()
    wait_until(lambda: [state.text for state in fleet.board.streams()] == ["hurries", "hurries"])


def test_worker_that_refuses_ends_the_change_before_any_has_acted(make: Make) -> None:
    fleet = make("refuses-change")
    fleet.start()
    with pytest.raises(FramelaneError, match="says no") as caught:
        fleet.prepare(with_streams(fleet, "a", "b", "c"))
    assert caught.value.exit_code == 3
    assert streams_of(fleet) == [("a",), ("b",)]


def test_worker_that_cant_go_over_is_started_again_with_its_new_streams(make: Make, tmp_path: Path) -> None:
    fleet = make("refuses-commit")
    fleet.start()
    go_over_to(fleet, "a", "b", "c")
    wait_until(lambda: all(each.restarts == 1 and each.up for each in workers_of(fleet)))
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live"] * 3)


def test_unknown_label_is_found_before_any_worker_is_asked(make: Make) -> None:
    fleet = make("good")
    fleet.start()
    config = with_streams(fleet, "a", "b")
    streams = [stream.model_copy(update={"classes": ["tre"]}) for stream in config.streams]
    with pytest.raises(ConfigError, match="unknown label `tre`"):
        fleet.prepare(config.model_copy(update={"streams": streams}))


def test_worker_without_streams_starts_when_it_gets_one(make: Make, tmp_path: Path) -> None:
    fleet = make("good", streams=1)
    fleet.start()
    assert [each.up for each in workers_of(fleet)] == [True, False]
    assert get(fleet, "/readyz").json() == {"ok": True, "reasons": []}
    go_over_to(fleet, "a", "b")
    wait_until(lambda: workers_of(fleet)[1].up)
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live", "live"])
    assert len((tmp_path / "starts").read_text().splitlines()) == 2


def test_worker_that_starts_meanwhile_is_told_when_it_is_up(make: Make) -> None:
    fleet = make("good", streams=1)
    fleet.start()
    for names in (("a", "b"), ("a", "b", "c", "d"), ("a", "d")):  # before w1 can be up
        go_over_to(fleet, *names)
    wait_until(lambda: workers_of(fleet)[1].up)
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live", "live"])
    assert [state.stream for state in fleet.board.streams()] == ["a", "d"]


def test_worker_that_is_up_proves_a_model_for_one_that_is_not(make: Make) -> None:
    """Or a model that can't be loaded would be found out when the change has been accepted."""
    fleet = make("refuses-strangers", streams=1)
    fleet.start()
    go_over_to(fleet, "a", "b")  # of a model that runs
    config = with_streams(fleet, "a", "b", "c")
    strange = config.streams[2].model_copy(update={"model": "strange"})
    models = {**config.models, "strange": config.models["m"]}
    with pytest.raises(FramelaneError, match="says no"):
        fleet.prepare(config.model_copy(update={"streams": [*config.streams[:2], strange], "models": models}))


def test_node_without_a_stream_keeps_one_worker_ready_for_the_first(make: Make) -> None:
    fleet = make("good", streams=0)
    wanted = fleet.config.model_copy(update={"streams": []})
    fleet.start()
    assert [(each.up, each.idle) for each in workers_of(fleet)] == [(True, False), (False, True)]
    assert get(fleet, "/readyz").json() == {"ok": True, "reasons": []}
    assert set(fleet.loaded) == {"m"}
    assert not fleet.ended
    pid = workers_of(fleet)[0].pid
    streams = parse_config(STREAMS, Path(fleet.config.models["m"].path).parent, {}).streams
    fleet.prepare(wanted.model_copy(update={"streams": streams[:1]}))
    fleet.commit(wanted.model_copy(update={"streams": streams[:1]}))
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live"])
    assert workers_of(fleet)[0].pid == pid


def test_disabled_stream_is_told_of_by_the_parent(make: Make) -> None:
    fleet = make("good")
    fleet.start()
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live", "live"])
    first, second = fleet.config.streams
    off = second.model_copy(update={"enabled": False})
    fleet.commit(fleet.config.model_copy(update={"streams": [first, off]}))
    assert {state.stream: state.state for state in fleet.board.streams()} == {"a": "live", "b": "disabled"}
    assert list(fleet.pipeline.meters.snapshot().streams) == ["a"]
    assert (fleet.board.node().streams, fleet.board.node().streams_disabled) == (2, 1)
    fleet.commit(fleet.config.model_copy(update={"streams": [first, second]}))
    wait_until(lambda: [state.state for state in fleet.board.streams()] == ["live", "live"])
    fleet.commit(fleet.config.model_copy(update={"streams": [first, off]}))
    fleet.commit(fleet.config.model_copy(update={"streams": [first]}))
    assert [state.stream for state in fleet.board.streams()] == ["a"]
