"""A daemon whose second model looks at the cars and people of a street, in two worker processes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.contract import unix_s
from tests.e2e.daemon import Daemon, free_port
from tests.models import second_files
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Received, Subscriber
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
WAIT_S = 60.0
EVERY_S = 1.0
STREAMS = ("east", "west")
ON = ("car", "person")


@dataclass
class Street:
    """A daemon that watches a street twice, and what it has published."""

    subscriber: Subscriber
    http: str

    def detections(self, stream: str) -> list[dict[str, Any]]:
        """All detections messages of a stream so far."""
        return [message.json for message in self.subscriber.on_topic(f"{BASE}/streams/{stream}/detections")]

    def crops(self) -> dict[tuple[str, str], float]:
        """Crop counters by name and stream."""
        text = httpx.get(f"{self.http}/metrics", timeout=30).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found: dict[tuple[str, str], float] = defaultdict(float)
        for sample in samples:
            if sample.name.startswith("framelane_crop") and sample.labels.get("model") == "color":
                found[sample.name, sample.labels["stream"]] += sample.value
        return found


@pytest.fixture(scope="module")
def street(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("cascade")
    port = free_port()
    color = second_files.color_classifier(folder / "color.onnx", gain=60.0)
    config: dict[str, Any] = {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 5},
        "log": {"format": "json"},
        "http": {"listen": f"127.0.0.1:{port}"},
        "workers": 2,
        "models": {
            "color": {"path": str(color), "of": "street", "on": list(ON), "every_s": EVERY_S},
            "street": {"path": str(material.demo)},
        },
        "defaults": {"track": True, "fps": 5, "loop": True, "events": {}},
        "streams": [{"id": name, "url": str(material.street)} for name in STREAMS],
    }
    with Mosquitto(folder / "broker") as broker, Subscriber(broker.url, f"{BASE}/#") as subscriber:
        config["mqtt"] = {"url": broker.url}
        with Daemon(folder, config) as daemon:
            daemon.wait_for_event("started")
            for stream in STREAMS:
                subscriber.wait_for_count(4, WAIT_S, partial(_has_color, stream=stream))
            yield Street(subscriber, f"http://127.0.0.1:{port}")


def _has_color(message: Received, stream: str) -> bool:
    """Return whether a message shows an object of a stream with its color."""
    if message.topic != f"{BASE}/streams/{stream}/detections":
        return False
    return any("attributes" in each for each in message.json["detections"])


def test_tracked_objects_get_their_color_and_others_none(street: Street) -> None:
    for stream in STREAMS:
        found = [each for message in street.detections(stream) for each in message["detections"]]
        with_color = [each for each in found if "attributes" in each]
        assert {each["label"] for each in with_color} <= set(ON)
        assert all("track_id" in each for each in with_color)
        assert {each["attributes"]["color"]["label"] for each in with_color} <= set(second_files.COLORS)


def test_objects_are_looked_at_once_per_second_at_most(street: Street) -> None:
    for stream in STREAMS:
        seen, told = defaultdict(list), defaultdict(set)
        messages = street.detections(stream)
        for message in messages:
            for each in message["detections"]:
                if "track_id" in each:
                    seen[each["track_id"]].append(unix_s(message["captured_at"]))
                if "attributes" in each:
                    told[each["track_id"]].add(each["attributes"]["color"]["at"])
        for track, answers in told.items():
            assert len(answers) <= (max(seen[track]) - min(seen[track])) / EVERY_S + 1


def test_crops_are_counted_for_all_workers(street: Street) -> None:
    # Workers report once per second.
    wait_until(lambda: all(street.crops()["framelane_crop_seconds_count", stream] > 0 for stream in STREAMS))
    crops = street.crops()
    for stream in STREAMS:
        sent, answered = (
            crops[f"framelane_crop{name}", stream] for name in ("s_sent_total", "_seconds_count")
        )
        assert sent >= answered

    def counted(message: Received) -> bool:
        return message.topic == f"{BASE}/streams/east/stats" and "color" in message.json["crops"]

    (stats,) = street.subscriber.wait_for_count(1, WAIT_S, counted)[:1]
    assert set(stats.json["crops"]["color"]) == {"sent", "answered", "dropped", "latency_ms"}


def test_events_tell_what_is_known_of_their_object(street: Street) -> None:
    def told(message: Received) -> bool:
        if message.topic != f"{BASE}/streams/east/events":
            return False
        return "color" in message.json["object"].get("attributes", {})

    event = street.subscriber.wait_for(told, WAIT_S).json
    assert event["object"]["label"] in ON
    assert event["object"]["attributes"]["color"]["label"] in second_files.COLORS
