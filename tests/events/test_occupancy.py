from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.events.desk import LOBBY, ZONE, begun, config_of
from tests.sinks.examples import WALL_S, checked

from framelane.core.events import Occupancy
from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.events.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with begun(config_of(tmp_path)) as made:
        yield made


def people(count: int, zone: str = "yard", label: str = "person") -> Occupancy:
    return Occupancy("lobby", zone, label, count, WALL_S + 1)


def test_nothing_is_known_before_a_live_stream_says_a_count(desk: Desk) -> None:
    assert desk.zone() == (None, False)
    desk.state("live")
    desk.turn(after_s=60)
    assert desk.zone() == (None, False)
    desk.turn(people(0))
    assert desk.zone() == (0, True)
    desk.turn(people(2))
    assert desk.zone() == (2, True)
    assert desk.retained()["zones/yard/person"]["since"] == timestamp(WALL_S + 1)
    for message in desk.published:
        checked(message)


@pytest.mark.parametrize("state", ["connecting", "stalled", "down", "disabled"])
def test_count_is_unknown_while_the_stream_is_not_live(desk: Desk, state: Any) -> None:
    desk.state("live")
    desk.turn(people(2))
    desk.state(state)
    assert desk.zone() == (None, False)
    desk.turn(people(1), after_s=5)
    assert desk.zone() == (None, False)


def test_new_connection_knows_nothing_of_the_last(desk: Desk) -> None:
    desk.state("live")
    desk.turn(people(2))
    desk.state("down")
    desk.turn(after_s=5)
    desk.state("live")
    desk.turn(after_s=60)
    assert desk.zone() == (None, False)
    desk.turn(people(0))
    assert desk.zone() == (0, True)


def test_count_may_come_a_moment_before_its_stream_is_live(desk: Desk) -> None:
    desk.turn(people(2))
    desk.state("live")
    assert desk.zone() == (2, True)


def test_stall_hides_a_count_and_brings_it_back(desk: Desk) -> None:
    desk.state("live")
    desk.turn(people(2))
    desk.state("stalled")
    desk.turn(after_s=60)
    desk.state("live")
    assert desk.zone() == (None, False)
    desk.turn(after_s=4)
    assert desk.zone() == (2, True)


def test_stall_ends_with_the_next_count(desk: Desk) -> None:
    desk.state("live")
    desk.turn(people(2))
    desk.state("stalled")
    desk.state("live")
    desk.turn(people(1))
    assert desk.zone() == (1, True)


def test_stall_before_any_count_shows_no_false_zero(desk: Desk) -> None:
    desk.state("live")
    desk.state("stalled")
    desk.state("live")
    desk.turn(after_s=60)
    assert desk.zone() == (None, False)


def test_label_of_an_earlier_connection_that_does_not_come_again_is_zero(tmp_path: Path) -> None:
    with begun(config_of(tmp_path, {"lobby": {"track": True, "zones": {"yard": ZONE}}})) as desk:
        assert desk.retained() == {}
        desk.state("live")
        desk.turn(people(1, label="car"), people(1, label="dog"))
        desk.state("down")
        desk.state("live")
        desk.turn(people(2, label="dog"))
        assert (desk.zone("yard/dog"), desk.zone("yard/car")) == ((2, True), (None, False))
        desk.turn(after_s=4)
        assert (desk.zone("yard/dog"), desk.zone("yard/car")) == ((2, True), (0, True))


def test_restart_takes_back_what_the_broker_retains(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"lobby": {"track": True, "zones": {"yard": ZONE}}})
    with begun(config) as desk:
        desk.state("live")
        desk.turn(people(3, label="car"))
        left = desk.copied_to(tmp_path / "killed")
    with begun(config_of(left, {"lobby": {"track": True, "zones": {"yard": ZONE}}})) as again:
        assert again.zone("yard/car") == (None, False)


def test_end_of_the_daemon_hides_all_counts(desk: Desk) -> None:
    desk.state("live")
    desk.turn(people(2))
    desk.journal.conclude(0.0)
    desk.turn()
    assert desk.zone() == (None, False)


def test_labels_and_zones_that_do_not_apply_are_not_published(desk: Desk) -> None:
    desk.state("live")
    desk.turn(people(2, label="car"), people(2, zone="gone"))
    assert set(desk.retained()) == {"zones/yard/person", "lines/street/person", "lines/street/car"}


def test_changed_zone_is_unknown_until_it_is_counted_again(desk: Desk, tmp_path: Path) -> None:
    desk.state("live")
    desk.turn(people(2))
    zone = {"polygon": [[0.0, 0.5], [0.8, 0.5], [0.9, 1.0]], "classes": ["person"]}
    desk.journal.configure(config_of(tmp_path, {"lobby": LOBBY | {"zones": {"yard": zone}}}))
    desk.turn()
    assert desk.zone() == (None, False)
    desk.turn(people(1))
    assert desk.zone() == (1, True)


def test_removed_stream_is_forgotten(desk: Desk, tmp_path: Path) -> None:
    desk.state("live")
    desk.turn(people(2))
    desk.journal.configure(config_of(tmp_path, {}))
    desk.journal.stream_removed("lobby")
    desk.turn()
    assert desk.retained() == {}
    desk.journal.configure(config_of(tmp_path))
    desk.turn()
    assert desk.zone() == (None, False)
