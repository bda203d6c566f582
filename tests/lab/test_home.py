"""Home Assistant's part sees when a late message changes an entity, and when a counter falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from lab.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPIC = "framelane/gate-01/streams/lobby"
ENTITIES = {
    "count": {"uniq_id": "count", "stat_t": f"{TOPIC}/detections", "val_tpl": "{{ value_json.count }}"},
    "careful": {
        "uniq_id": "careful",
        "stat_t": f"{TOPIC}/detections",
        "val_tpl": "{% if not value_json.replayed %}{{ value_json.count }}{% endif %}",
    },
    "left": {
        "uniq_id": "left",
        "stat_t": f"{TOPIC}/lines/street/car",
        "val_tpl": "{{ value_json.left }}",
        "stat_cla": "total_increasing",
    },
    "picture": {"uniq_id": "picture", "img_t": f"{TOPIC}/snapshots/car"},
}


def home(*messages: tuple[str, Mapping[str, object]]) -> Home:
    made = Home()
    made.take("homeassistant/device/lobby/config", orjson.dumps({"cmps": ENTITIES}))
    for topic, body in messages:
        made.take(f"{TOPIC}/{topic}", orjson.dumps(body))
    return made


def test_states_follow_messages() -> None:
    there = home(
        ("detections", {"count": 3}), ("lines/street/car", {"left": 4}), ("events", {"replayed": True})
    )
    there.take(f"{TOPIC}/lines/street/car", b"")
    assert there.states == {"count": "3", "careful": "3", "left": "4"}
    assert (there.faults, there.late) == ([], 0)


def test_a_late_message_that_changes_an_entity_is_a_fault() -> None:
    there = home(("detections", {"count": 3}), ("detections", {"count": 2, "replayed": True}))
    assert there.faults == ["a late message set count to 2"]
    assert (there.states["careful"], there.late) == ("3", 1)


def test_a_counter_that_falls_is_a_fault_even_if_it_was_unknown_meanwhile() -> None:
    there = home(*(("lines/street/car", {"left": count}) for count in (4, None, 4, None, 3)))
    assert there.faults == ["left fell from 4 to 3"]
