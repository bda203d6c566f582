from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.sinks.homeassistant.examples import GPU, LABELS, mqtt, site, stream
from tests.sinks.homeassistant.rules import TOPIC, faults

from framelane import __version__
from framelane.sinks.homeassistant.devices import node_device, stream_device
from framelane.sinks.homeassistant.site import Site

GOLDEN = Path(__file__).parent
STATE, STATUS = "framelane/gate-01/streams/lobby/state", "framelane/gate-01/status"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"classes": ["person", "car"]},
        {"model": ["yolox", "plates"]},
        {"model": ["yolox", "plates"], "classes": ["plate", "car"]},
        {"name": "front.door_2"},
        {"name": "a" * 64, "fps": 0.1},
    ],
)
@pytest.mark.parametrize("publish", ["always", "heartbeat", "never"])
def test_stream_is_announced_as_home_assistant_wants_it(options: dict[str, Any], publish: str) -> None:
    here, one = site(), stream(**options, publish={"empty": publish})
    device = stream_device(here, one, LABELS)
    assert faults(device) == []
    assert TOPIC.fullmatch(here.names.topic(one.id))
    assert device["dev"]["via_device"] == node_device(here, [])["dev"]["ids"][0]


@pytest.mark.parametrize("gpus", [[], [GPU]])
def test_node_is_announced_as_home_assistant_wants_it(gpus: list[Any]) -> None:
    device = node_device(site(), gpus)
    assert faults(device) == []
    assert [key for key in device["cmps"] if key.startswith("gpu")] == (
        ["gpu0_utilization", "gpu0_decoder", "gpu0_memory", "gpu0_temperature", "gpu0_power"] if gpus else []
    )


@pytest.mark.parametrize("what", ["node", "stream"])
def test_announcement_is_the_golden_one(what: str) -> None:
    """A changed key or unique_id loses what users have built on it: let the diff of the file be seen."""
    one = stream(classes=["person"], fps=10)
    device = node_device(site(), [GPU]) if what == "node" else stream_device(site(), one, LABELS)
    golden = (GOLDEN / f"{what}.json").read_text(encoding="utf-8").replace("VERSION", __version__)
    assert orjson.loads(golden) == device


def test_what_is_seen_needs_the_stream_and_the_rest_needs_the_node() -> None:
    device = stream_device(site(), stream(classes=["person"]), LABELS)
    needs = {
        key: [row["t"] for row in entity.get("avty", device["avty"])]
        for key, entity in device["cmps"].items()
    }
    assert device["avty_mode"] == "all"
    assert needs["occupancy_person"] == needs["count_person"] == [STATUS, STATE]
    assert needs["connectivity"] == needs["fps_in"] == needs["latency_p95"] == [STATUS]


def keys(device: dict[str, Any]) -> set[str]:
    return {key for key in device["cmps"] if key.startswith(("occupancy", "count"))}


def test_classes_get_an_occupancy_sensor_and_a_count() -> None:
    assert keys(stream_device(site(classes=["car"]), stream(), LABELS)) == {"occupancy_car", "count_car"}
    assert keys(stream_device(site(), stream(), LABELS)) == {"occupancy", "count"}
    assert keys(stream_device(site(classes=[]), stream(), LABELS)) == set()
    both = stream(model=["yolox", "plates"])
    assert keys(stream_device(site(), both, LABELS)) == {"occupancy", "count_yolox", "count_plates"}


SNAPSHOTS: dict[str, Any] = {"classes": ["car", "person"], "track": True, "events": {}}


def test_each_class_has_an_image_if_snapshots_are_published() -> None:
    device = stream_device(site(), stream(**SNAPSHOTS, snapshots={"publish": "crop"}), LABELS)
    assert faults(device) == []
    assert device["cmps"]["snapshot_car"] == {
        "p": "image",
        "name": "Car snapshot",
        "img_t": "framelane/gate-01/streams/lobby/snapshots/car",
        "cont_type": "image/jpeg",
        "uniq_id": f"{device['dev']['ids'][0]}_snapshot_car",
    }
    assert "snapshot_person" in device["cmps"]
    silent = stream_device(site(), stream(**SNAPSHOTS, snapshots={}), LABELS)
    assert "snapshot_car" not in silent["cmps"]


def test_counts_are_left_out_when_empty_results_are_never_published() -> None:
    silent = stream(classes=["car"], publish={"empty": "never"})
    assert keys(stream_device(site(), silent, LABELS)) == {"occupancy_car"}


def test_nothing_is_seen_when_detections_are_message_pack() -> None:
    packed = Site.of("gate-01", mqtt().model_copy(update={"payload": "msgpack"}))
    device = stream_device(packed, stream(classes=["car"]), LABELS)
    assert keys(device) == set()
    assert "fps_published" in device["cmps"]


def test_class_with_odd_letters_gets_a_key_that_home_assistant_takes() -> None:
    labels = {"yolox": ("traffic light", "Fußgänger")}
    device = stream_device(site(), stream(classes=list(labels["yolox"])), labels)
    assert faults(device) == []
    assert device["cmps"]["occupancy_traffic_20light"]["name"] == "Traffic light"
    assert device["cmps"]["count_Fu_c3_9fg_c3_a4nger"]["name"] == "Fußgänger count"


@pytest.mark.parametrize(
    ("fps", "max_rate", "expected"),
    [(None, None, 7), (10, None, 7), (1, None, 7), (0.1, None, 20), (10, 0.2, 10), (None, 0.2, 10)],
)
def test_off_delay_is_never_shorter_than_two_results(
    fps: float | None, max_rate: float | None, expected: int
) -> None:
    slow = stream(fps=fps, publish={"max_rate": max_rate})
    device = stream_device(site(off_delay_s=7), slow, LABELS)
    assert device["cmps"]["occupancy"]["off_dly"] == expected


def test_rules_notice_what_is_wrong() -> None:
    device = stream_device(site(), stream(), LABELS)
    entities = device["cmps"]
    entities["latency_p50"]["unit_of_meas"] = "kg"
    entities["fps_in"]["state_clas"] = "measurement"
    entities["count"]["uniq_id"] = entities["fps_in"]["uniq_id"]
    expected = ["fps_in: unknown state_clas", "latency_p50: unit kg", "unique ids repeat"]
    assert sorted(faults(device)) == expected
