from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from tests.sinks.examples import result

from framelane.telemetry.history import History
from framelane.telemetry.sink_health import SinkHealth, SpoolHealth
from framelane.telemetry.states import StreamState
from framelane.telemetry.stats import ProcessSample, StatsWindow
from framelane.web.app import create_app
from framelane.web.insight import insight, router
from framelane.web.rules import RulesReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

BROKER = SinkHealth(
    "mqtt",
    connected=False,
    queued=5,
    delivered=10,
    dropped=1,
    last_error="refused",
    spool=SpoolHealth(3, 4096),
)


def url_of(daemon: Daemon, serve: Serve, history: History) -> str:
    window = StatsWindow(daemon.meters, daemon.clock, lambda: ProcessSample(123, 1.0))
    daemon.clock.monotonic_s += 2.0
    model = daemon.meters.model("street")
    model.slots_opened(2)
    for _ in range(10):
        model.batch_done(4, 0.01, 0.1, 0.02)
    daemon.meters.stream("lobby").frame_inferred(0.05, 0.13)
    daemon.meters.stream("lobby").objects.saw(result(count=3))
    stats = window.close()
    history.note(stats)
    routes = router(history, lambda: insight(stats, {"street": 2}, [BROKER]), lambda: RulesReply(streams={}))
    page = create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, None, insight=routes)
    return serve(page)


def test_the_node_shows_what_each_stage_takes(daemon: Daemon, serve: Serve) -> None:
    reply = httpx.get(url_of(daemon, serve, History(daemon.clock, 10.0)) + "/api/node").json()
    stages = {stage["name"]: stage for stage in reply["stages"]}
    assert list(stages) == ["receive", "decode", "queue", "preprocess", "infer", "postprocess", "publish"]
    infer = stages["infer"]
    # Five batches per second of 100 ms keep a quarter of two slots busy.
    assert (infer["model"], infer["per_s"]) == ("street", 5.0)
    assert (round(infer["mean_ms"]), round(infer["occupancy"], 3)) == (100, 0.25)
    assert (stages["queue"]["per_s"], round(stages["queue"]["mean_ms"])) == (0.5, 50)
    assert reply["models"] == [{"name": "street", "batch_size": 4.0, "batches_per_s": 5.0, "slots": 2}]
    assert reply["sinks"][0] == {
        "name": "mqtt",
        "connected": False,
        "queued": 5,
        "delivered": 10,
        "dropped": 1,
        "last_error": "refused",
        "spool_messages": 3,
        "spool_bytes": 4096,
    }


def test_a_node_that_has_just_started_shows_nothing_yet() -> None:
    reply = insight(None, {}, [])
    assert (reply.stages, reply.models, reply.load, reply.rss_bytes) == ([], [], None, None)


def test_a_streams_past_is_shown(daemon: Daemon, serve: Serve) -> None:
    history = History(daemon.clock, 10.0)
    history.changed(StreamState("lobby", "down", "refused", "no route", 0.0))
    reply = httpx.get(url_of(daemon, serve, history) + "/api/streams/lobby/history").json()
    assert [sample["fps_inferred"] for sample in reply["samples"]] == [0.5]
    change = {"at": daemon.clock.wall(), "state": "down", "reason": "refused", "text": "no route"}
    assert reply["changes"] == [change]


def test_an_unknown_stream_has_no_past(daemon: Daemon, serve: Serve) -> None:
    reply = httpx.get(url_of(daemon, serve, History(daemon.clock, 10.0)) + "/api/streams/nobody/history")
    assert reply.json() == {"samples": [], "objects": [], "changes": []}


def test_the_objects_of_a_streams_past_are_shown(daemon: Daemon, serve: Serve) -> None:
    history = History(daemon.clock, 10.0)
    reply = httpx.get(url_of(daemon, serve, history) + "/api/streams/lobby/history").json()
    assert [sample["fps_inferred"] for sample in reply["samples"]] == [0.5]
    found = {each["label"]: each["per_frame"] for each in reply["objects"]}
    assert found == {"person": [1.0], "bicycle": [1.0], "car": [1.0]}
