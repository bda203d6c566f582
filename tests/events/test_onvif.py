"""ONVIF properties that earlier runs retained are deleted once `onvif.enabled` is false."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.events.desk import LOBBY, begun, config_of
from tests.sinks.examples import WALL_S, FakeClock

from framelane.config.sections.onvif import OnvifConfig
from framelane.core.events import Occupancy
from framelane.messages.onvif.payloads import COUNTER, INSIDE, LOITERING

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config

DAY_S = 86_400.0
ALL = {
    *(
        f"{COUNTER}/&lobby/gate-01/street:{side}:{label}"
        for side in ("left", "right")
        for label in ("person", "car")
    ),
    *(f"{topic}/&lobby/gate-01/yard" for topic in (INSIDE, LOITERING)),
}


def config(folder: Path, *, onvif: bool, rules: bool = True) -> Config:
    made = config_of(folder, {"lobby": LOBBY if rules else {}})
    return made.model_copy(update={"onvif": OnvifConfig(enabled=onvif)})


def run(config: Config, clock: FakeClock) -> set[str]:
    """Let a daemon run for a moment; return the properties that its journal deletes."""
    with begun(config, clock) as desk:
        if config.streams[0].track:
            desk.state("live")
            desk.turn(Occupancy("lobby", "yard", "person", 1, WALL_S))
        made = [message for message in desk.published if message.kind == "onvif"]
    assert not [message for message in made if message.payload or not message.retain]
    return {message.key for message in made}


def test_properties_are_deleted_when_they_are_switched_off_and_for_a_week(tmp_path: Path) -> None:
    clock = FakeClock()
    assert run(config(tmp_path, onvif=True), clock) == set()
    assert run(config(tmp_path, onvif=True), clock) == set()
    assert run(config(tmp_path, onvif=False), clock) == ALL
    clock.advance(6 * DAY_S)
    assert run(config(tmp_path, onvif=False), clock) == ALL, "the broker may not have got it"
    clock.advance(2 * DAY_S)
    assert run(config(tmp_path, onvif=False), clock) == set()
    assert run(config(tmp_path, onvif=True), clock) == set()
    assert run(config(tmp_path, onvif=False), clock) == ALL


def test_nothing_is_deleted_where_nothing_was_published(tmp_path: Path) -> None:
    clock = FakeClock()
    assert run(config(tmp_path, onvif=False), clock) == set()
    assert run(config(tmp_path, onvif=False), clock) == set()


def test_properties_of_rules_that_go_with_the_switch_are_deleted_too(tmp_path: Path) -> None:
    clock = FakeClock()
    run(config(tmp_path, onvif=True), clock)
    assert run(config(tmp_path, onvif=False, rules=False), clock) == ALL


def test_rules_that_went_before_the_switch_are_not_remembered(tmp_path: Path) -> None:
    clock = FakeClock()
    run(config(tmp_path, onvif=True), clock)
    # `with_properties` deletes them with their topics, see tests/messages/onvif.
    assert run(config(tmp_path, onvif=True, rules=False), clock) == set()
    assert run(config(tmp_path, onvif=False, rules=False), clock) == set()
