from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import orjson
import pytest
from tests.sinks.examples import ORIGIN, WALL_S, frame, node_stats, objects, state, status
from tests.sinks.homeassistant.examples import GPU, LABELS, site, stream
from tests.sinks.homeassistant.rules import rendered

from framelane.core.frames import ModelInfo, Result
from framelane.messages.detections import detections_message
from framelane.messages.reports import node_stats_message, stats_message
from framelane.sinks.homeassistant.devices import node_device, stream_device
from framelane.sinks.homeassistant.names import escaped
from framelane.telemetry.sink_health import SinkHealth
from framelane.telemetry.states import NodeStateName

if TYPE_CHECKING:
    from collections.abc import Sequence

SINKS = (
    SinkHealth("jsonl", connected=True, queued=9, delivered=9, dropped=9, last_error=None),
    SinkHealth("mqtt", connected=True, queued=12, delivered=5, dropped=3, last_error=None),
)


def seen(count: int, model: str = "yolox", labels: Sequence[str] | None = None, **changes: Any) -> bytes:
    """A detections message: of the classes in turn, so that 4 objects are 2 of the first class."""
    info = ModelInfo(model, "695e750a5d57", "onnxruntime", tuple(labels or LABELS[model]))
    result = Result(frame(), info, objects(count), queued_s=0.0, inferred_s=0.01)
    message = detections_message(ORIGIN, result, seq=1, dropped=0, total_s=0.03)
    return orjson.dumps({**orjson.loads(message.payload), **changes})


def template(key: str, labels: Any = LABELS, **options: Any) -> str:
    device = stream_device(site(), stream(**options), labels)
    text: str = device["cmps"][key]["val_tpl"]
    return text


@pytest.mark.parametrize(("count", "expected"), [(0, "0"), (1, "1"), (4, "2"), (7, "3")])
def test_count_is_that_of_its_class(count: int, expected: str) -> None:
    assert rendered(template("count_person", classes=["person"]), seen(count)) == expected


def test_count_is_of_all_objects_when_no_class_is_chosen() -> None:
    assert rendered(template("count"), seen(7)) == "7"


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        ("unknown", 0, "OFF"), ("unavailable", 0, "OFF"), ("off", 0, "OFF"), ("on", 0, ""),
        ("unknown", 1, "ON"), ("off", 1, "ON"), ("on", 1, "ON"),
    ],
)  # fmt: skip
def test_occupancy_goes_on_at_once_and_off_by_its_delay(before: str, count: int, expected: str) -> None:
    assert rendered(template("occupancy_person", classes=["person"]), seen(count), before) == expected
    assert rendered(template("occupancy"), seen(count), before) == expected


def test_occupancy_is_that_of_its_class() -> None:
    assert rendered(template("occupancy_car", classes=["car"]), seen(2), "off") == "OFF"
    assert rendered(template("occupancy_car", classes=["car"]), seen(3), "off") == "ON"


@pytest.mark.parametrize("before", ["unknown", "off", "on"])
@pytest.mark.parametrize("key", ["occupancy_person", "count_person"])
@pytest.mark.parametrize("count", [0, 1])
def test_replayed_messages_change_nothing(before: str, key: str, count: int) -> None:
    assert rendered(template(key, classes=["person"]), seen(count, replayed=True), before) == ""


def test_each_class_is_counted_by_the_first_model_that_knows_it() -> None:
    options: dict[str, Any] = {"model": ["yolox", "plates"], "classes": ["plate", "car"]}
    of_plates, of_cars = template("count_plate", **options), template("count_car", **options)
    assert rendered(of_plates, seen(4, "plates")) == "2"
    assert rendered(of_plates, seen(3, "yolox")) == ""
    assert rendered(of_cars, seen(3, "yolox")) == "1"
    assert rendered(of_cars, seen(2, "plates")) == ""


def test_a_model_that_does_not_know_a_class_switches_no_occupancy_off() -> None:
    of_plates = template("occupancy_plate", model=["yolox", "plates"], classes=["plate"])
    assert rendered(of_plates, seen(1, "plates"), "off") == "ON"
    assert rendered(of_plates, seen(3, "yolox"), "on") == ""


@pytest.mark.parametrize("label", ["it's", 'a "b"', "back\\slash", "{{ 1 }}", "%} x", "Fußgänger", "🚲"])
def test_any_label_can_be_asked_for(label: str) -> None:
    labels = {"yolox": (label, "other", "third")}
    text = template(f"count_{escaped(label)}", labels=labels, classes=[label])
    assert rendered(text, seen(4, labels=labels["yolox"])) == "2"


@pytest.mark.parametrize(
    ("name", "online"), [("online", "online"), ("degraded", "online"), ("offline", "offline")]
)
def test_everything_is_available_while_the_node_is(name: Any, online: str) -> None:
    device = stream_device(site(), stream(), LABELS)
    assert rendered(device["avty"][0]["val_tpl"], status(name).payload) == online


@pytest.mark.parametrize("name", ["connecting", "live", "stalled", "down"])
def test_a_stream_is_connected_while_it_is_live(name: Any) -> None:
    device = stream_device(site(), stream(), LABELS)
    payload = state(name).payload
    live = name == "live"
    assert rendered(device["cmps"]["connectivity"]["val_tpl"], payload) == ("ON" if live else "OFF")
    assert rendered(device["cmps"]["count"]["avty"][1]["val_tpl"], payload) == (
        "online" if live else "offline"
    )


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        (False, {"fps_in": "25.0", "fps_inferred": "10.0", "fps_published": "10.0", "dropped": "4",
                 "latency_p50": "30.12", "latency_p95": "45.0", "latency_p99": "51.0", "reconnects": "1"}),
        (True, {"latency_p50": "None", "latency_p95": "None", "latency_p99": "None"}),
    ],
)  # fmt: skip
def test_figures_of_a_stream(*, idle: bool, expected: dict[str, str]) -> None:
    device = stream_device(site(), stream(), LABELS)
    payload = orjson.loads(stats_message(ORIGIN, node_stats(idle=idle).streams[0], WALL_S).payload)
    payload["dropped"] = {"fps": 150, "replaced": 3, "failed": 1}  # what `fps` asks for is no loss
    found = {key: rendered(device["cmps"][key]["val_tpl"], orjson.dumps(payload)) for key in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("idle", "expected"),
    [
        (False, {"fps_published": "10.0", "dropped": "0", "latency_p95": "45.0", "spool_queued": "12",
                 "spool_dropped": "3", "rss": "190.7", "cpu_cores": "0.512", "gpu0_utilization": "73.0",
                 "gpu0_decoder": "40.0", "gpu0_memory": "3072.0", "gpu0_temperature": "61.0", "gpu0_power": "312.4"}),
        (True, {"latency_p95": "None", "gpu0_utilization": "None", "gpu0_decoder": "None", "gpu0_memory": "None",
                "gpu0_temperature": "None", "gpu0_power": "None"}),
    ],
)  # fmt: skip
def test_figures_of_the_node(*, idle: bool, expected: dict[str, str]) -> None:
    device = node_device(site(), [GPU])
    payload = node_stats_message(ORIGIN, node_stats(idle=idle), SINKS, WALL_S).payload
    assert {key: rendered(device["cmps"][key]["val_tpl"], payload) for key in expected} == expected


def test_status_of_the_node() -> None:
    device = node_device(site(), [])
    payload = status("degraded", "streams").payload
    shown = {key: rendered(device["cmps"][key]["val_tpl"], payload) for key in ("status", "streams_live")}
    assert shown == {"status": "degraded", "streams_live": "1"}
    assert rendered(device["cmps"]["version"]["val_tpl"], payload)
    assert device["cmps"]["status"]["ops"] == list(get_args(NodeStateName))
    assert device["cmps"]["status"]["avty"] == [], "it must show `offline` too"
