"""Properties of zones: who is inside and who loiters, told only while it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.events.examples import event, zone_state
from tests.sinks.examples import WALL_S

from framelane.messages.events import ZoneState, event_message, zone_message
from framelane.messages.onvif.payloads import INSIDE, LOITERING
from framelane.messages.onvif.properties import OnvifProperties
from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from framelane.core.events import Event

Data = dict[str, Any] | None
A, B = "gate-01/lobby/run-1/1", "gate-01/lobby/run-1/2"
NONE_INSIDE = {"IsInside": False}


class Client:
    """Keeps what the broker retains of one zone."""

    def __init__(self) -> None:
        self.properties = OnvifProperties("gate-01")
        self.data: dict[str, Data] = {}
        self.count = 0

    def follows(self, *happenings: Event | ZoneState) -> int:
        """Take what happens; return how many properties change."""
        before = self.count
        for happening in happenings:
            message = (
                zone_message("gate-01", happening)
                if isinstance(happening, ZoneState)
                else event_message("gate-01", happening, None)
            )
            for made in self.properties.follow(message):
                topic, _, source = made.key.partition("/&")
                assert (made.kind, made.stream, made.retain) == ("onvif", "lobby", True)
                assert source == "lobby/gate-01/yard"
                self.data[topic] = orjson.loads(made.payload)["Data"] if made.payload else None
                self.count += 1
        return self.count - before

    @property
    def inside(self) -> Data:
        return self.data.get(INSIDE)

    @property
    def loitering(self) -> Data:
        return self.data.get(LOITERING)


@pytest.fixture
def client() -> Client:
    """A client of a node whose stream has just become live, with nobody in its zone."""
    made = Client()
    made.follows(count(0))
    return made


def count(number: int | None, label: str = "person") -> ZoneState:
    return zone_state(count=number, label=label)


def enters(number: int, **changes: Any) -> Event:
    return event(number, kind="zone_enter", rule="yard", **changes)


def exits(number: int, **changes: Any) -> Event:
    return event(number, kind="zone_exit", rule="yard", since=WALL_S - 5, **changes)


def loiters(number: int, since: float, **changes: Any) -> Event:
    return event(number, kind="loiter", rule="yard", since=since, **changes)


def objects(*ids: str) -> dict[str, str]:
    return {"ObjectId": " ".join(ids), "ClassTypes": " ".join(["Human"] * len(ids))}


def test_nobody_is_inside_at_first(client: Client) -> None:
    assert client.data == {INSIDE: NONE_INSIDE, LOITERING: None}


def test_list_of_objects_changes_with_each(client: Client) -> None:
    client.follows(enters(1), count(1))
    assert client.inside == {**objects(A), "IsInside": True}
    client.follows(enters(2), count(2))
    assert client.inside == {**objects(A, B), "IsInside": True}
    client.follows(exits(1), count(1))
    assert client.inside == {**objects(B), "IsInside": True}
    client.follows(exits(2), count(0))
    assert client.inside == NONE_INSIDE
    assert client.count == 6, "an occupancy that says nothing new is no message"


def test_exchange_within_a_frame_is_a_change(client: Client) -> None:
    client.follows(enters(1), count(1), exits(1), enters(2))
    assert client.inside == {**objects(B), "IsInside": True}


@pytest.mark.parametrize("order", [1, -1])
def test_order_of_event_and_occupancy_does_not_matter(client: Client, order: int) -> None:
    client.follows(*(enters(1), count(1))[::order])
    assert client.inside == {**objects(A), "IsInside": True}
    client.follows(*(exits(1), count(0))[::order])
    assert client.inside == NONE_INSIDE


def test_object_that_ends_is_no_longer_inside(client: Client) -> None:
    client.follows(enters(1), event(1, kind="end", reason="lost"))
    assert client.inside == NONE_INSIDE


def test_other_streams_are_not_concerned(client: Client) -> None:
    client.follows(enters(1), count(1))
    assert client.follows(event(1, stream="hall", kind="end", reason="lost")) == 0
    assert client.inside == {**objects(A), "IsInside": True}


@pytest.mark.parametrize("kind", ["new", "update", "line"])
def test_other_events_change_nothing(client: Client, kind: str) -> None:
    assert client.follows(event(1, kind=kind, rule="yard" if kind == "line" else None)) == 0


def test_loitering_names_all_and_since_when_the_first_does(client: Client) -> None:
    client.follows(enters(1), enters(2), loiters(2, WALL_S - 30))
    assert client.loitering == {**objects(B), "Since": timestamp(WALL_S - 30)}
    client.follows(loiters(1, WALL_S - 40))
    assert client.loitering == {**objects(B, A), "Since": timestamp(WALL_S - 40)}
    client.follows(exits(1))
    assert client.loitering == {**objects(B), "Since": timestamp(WALL_S - 30)}
    client.follows(event(2, kind="end", reason="left"))
    assert client.loitering is None
    assert client.inside == NONE_INSIDE


def test_nothing_is_said_before_the_occupancy_is_known() -> None:
    client = Client()
    client.follows(enters(1), loiters(1, WALL_S - 30))
    assert client.data == {INSIDE: None, LOITERING: None}
    client.follows(count(1))
    assert client.inside == {**objects(A), "IsInside": True}
    assert client.loitering == {**objects(A), "Since": timestamp(WALL_S - 30)}


def test_properties_of_the_run_before_are_deleted_at_the_start() -> None:
    client = Client()
    assert client.follows(count(None)) == 2
    assert client.data == {INSIDE: None, LOITERING: None}
    assert client.follows(count(None)) == 0, "once is enough"


def test_properties_are_deleted_while_the_occupancy_is_unknown(client: Client) -> None:
    client.follows(enters(1), count(1), count(None))
    assert client.inside is None
    client.follows(enters(2))
    assert client.inside is None
    client.follows(count(2))
    assert client.inside == {**objects(A, B), "IsInside": True}


def test_zone_is_known_as_long_as_one_of_its_labels_is(client: Client) -> None:
    client.follows(count(0, "car"), enters(1), count(1))
    assert client.follows(count(None, "car")) == 0
    client.follows(count(None))
    assert client.inside is None


def test_objects_that_left_unseen_are_forgotten(client: Client) -> None:
    client.follows(enters(1), enters(2), loiters(1, WALL_S - 30), count(None), count(0))
    assert (client.inside, client.loitering) == (NONE_INSIDE, None)


def test_objects_that_came_in_unseen_are_counted(client: Client) -> None:
    client.follows(count(None), count(0), count(2, "car"))
    assert client.inside == {"IsInside": True}
    client.follows(count(0, "car"))
    assert client.inside == NONE_INSIDE


def test_objects_of_a_process_that_died_are_forgotten_with_the_first_event_of_the_next(
    client: Client,
) -> None:
    client.follows(enters(1), loiters(1, WALL_S - 30))
    client.follows(event(3, kind="new", run="run-2"))
    assert (client.inside, client.loitering) == (NONE_INSIDE, None)
