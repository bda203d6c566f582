from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from tests.footage.pictures import event_of, found, info, picture
from tests.waiting import wait_until

from framelane.config.sections.footage import SnapshotsConfig
from framelane.core.events import Event, Occupancy
from framelane.footage.address import Addresses
from framelane.footage.events import SnapshotEvents
from framelane.footage.jpegs import note_of
from framelane.footage.snapshots import SnapshotMaker
from framelane.messages.events import event_id
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from framelane.footage.store import Place
    from framelane.messages.detections import Message

BOX = (100.0, 60.0, 160.0, 180.0)
URL = "http://gate-01:8080"


class Disk:
    """Keeps files in memory, or fails."""

    def __init__(self, tmp_path: Path) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.error: OSError | None = None
        self._path = tmp_path

    def write(self, place: Place, parts: Sequence[bytes]) -> Path:
        if self.error is not None:
            raise self.error
        self.files[place.event, place.suffix] = b"".join(parts)
        return self._path


class Bench:
    """Events on their way through snapshots, with one object in view."""

    def __init__(self, tmp_path: Path, *, url: str | None = URL) -> None:
        self.disk, self.meter = Disk(tmp_path), StreamMeter("lobby")
        self.sent: list[Message] = []
        self.taken: list[Event | Occupancy] = []
        self.maker = SnapshotMaker(self.disk, self.sent.append, lambda: 0.0)
        self.events = SnapshotEvents("gate-01", Addresses(url), self.maker.put, self)

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        self.taken += happenings

    def show(self, options: SnapshotsConfig | None, *tracks: int, index: int = 0) -> None:
        self.events.follow("lobby", options, self.meter)
        seen = found(*((track, BOX, 0.8) for track in tracks))
        if options is not None:
            self.events.album("yolox").saw(info(index), seen, picture(boxes=[BOX]), options)

    def happen(self, *events: Event | Occupancy) -> None:
        self.events.take(events)
        if self.maker.alive:
            self.maker.stop(5)

    @property
    def url(self) -> str | None:
        event = self.taken[0]
        assert isinstance(event, Event)
        return event.snapshot_url

    @property
    def fates(self) -> dict[str, int]:
        return {fate: count for fate, count in self.meter.snapshot().snapshots.items() if count}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_event_gets_the_address_of_its_snapshot_and_both_images_are_kept(bench: Bench) -> None:
    bench.show(SnapshotsConfig(margin=0.1), 7)
    crossed = event_of(7, "line", rule="street")
    bench.happen(crossed)
    name = event_id("gate-01", crossed)
    assert bench.url == f"{URL}/api/events/{name}/snapshot.jpg"
    assert bench.disk.files.keys() == {(name, "jpg"), (name, "whole.jpg")}
    notes = [note_of(bench.disk.files[name, suffix]) for suffix in ("jpg", "whole.jpg")]
    assert [note and note["region"] for note in notes] == [[94, 48, 166, 192], [0, 0, 320, 240]]
    assert {note and (note["event"], note["rule"], note["label"]) for note in notes} == {
        (name, "street", "person")
    }
    assert bench.fates == {"kept": 1}


@pytest.mark.parametrize(
    ("options", "track", "kind", "fates"),
    [
        (None, 7, "line", {}),
        (SnapshotsConfig(kinds=["end"]), 7, "line", {}),
        (SnapshotsConfig(), 8, "line", {"unseen": 1}),
        (SnapshotsConfig(), 7, "new", {}),
    ],
    ids=["off", "other kind", "object without a view", "not by default"],
)
def test_other_events_pass_unchanged(
    bench: Bench, options: SnapshotsConfig | None, track: int, kind: str, fates: dict[str, int]
) -> None:
    bench.show(options, 7)
    event, occupancy = event_of(track, kind), Occupancy("lobby", "yard", "person", 1, 1.0)
    bench.happen(event, occupancy)
    assert bench.taken == [event, occupancy]
    assert bench.disk.files == {}
    assert bench.fates == fates


def test_ended_object_gives_its_last_snapshot_and_is_forgotten(bench: Bench) -> None:
    bench.show(SnapshotsConfig(), 7)
    bench.happen(event_of(7, "zone_exit", rule="yard"), event_of(7, "end", reason="left"))
    assert len(bench.disk.files) == 4
    assert bench.events.album("yolox").best("lobby", 7) is None


def test_without_an_address_the_snapshot_is_kept_and_the_event_has_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, url=None)
    bench.show(SnapshotsConfig(), 7)
    bench.happen(event_of(7))
    assert bench.url is None
    assert len(bench.disk.files) == 2


def test_full_disk_costs_the_files_alone(bench: Bench) -> None:
    bench.disk.error = OSError(errno.ENOSPC, "No space left on device")
    bench.show(SnapshotsConfig(publish="crop"), 7)
    bench.happen(event_of(7), event_of(7, "end"))
    assert len(bench.taken) == 2
    assert bench.fates == {"disk": 2}
    assert [message.payload[:2] for message in bench.sent] == [b"\xff\xd8"] * 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SnapshotsConfig(), []),
        (SnapshotsConfig(publish="crop"), [([100, 60, 160, 180], True)]),
        (SnapshotsConfig(publish="whole", retain=False), [([0, 0, 320, 240], False)]),
        (SnapshotsConfig(publish="whole", annotated=True), [([0, 0, 320, 240], True)]),
    ],
)
def test_image_is_published_as_configured(
    bench: Bench, options: SnapshotsConfig, expected: list[tuple[list[int], bool]]
) -> None:
    bench.show(options, 7)
    bench.happen(event_of(7))
    notes = [(note_of(message.payload), message) for message in bench.sent]
    assert [(note and note["region"], message.retain) for note, message in notes] == expected
    assert {(each.kind, each.stream, each.key, each.encoding) for each in bench.sent} <= {
        ("snapshots", "lobby", "person", "jpeg")
    }


def test_drawn_box_is_in_the_published_image_alone(bench: Bench) -> None:
    bench.show(SnapshotsConfig(publish="whole", annotated=True), 7)
    event = event_of(7)
    bench.happen(event)
    assert bench.sent[0].payload != bench.disk.files[event_id("gate-01", event), "whole.jpg"]


def test_retained_images_are_deleted_when_they_are_no_longer_wanted(bench: Bench) -> None:
    bench.show(SnapshotsConfig(publish="crop"), 7)
    bench.events.take([event_of(7)])
    wait_until(lambda: len(bench.sent) == 1)
    bench.maker.clear("lobby")
    bench.maker.clear("lobby")
    wait_until(lambda: len(bench.sent) == 2)
    bench.maker.stop(5)
    assert [(each.key, each.payload, each.retain) for each in bench.sent[1:]] == [("person", b"", True)]


def test_queue_is_bounded_and_what_finds_no_room_has_no_address(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[[], None] = lambda: None  # noqa: E731 - nobody empties the queue
    monkeypatch.setattr(bench.maker, "start", start)
    monkeypatch.setattr("framelane.footage.snapshots._MOST_WAITING_BYTES", 2.5 * 320 * 240 * 1.5)
    bench.show(SnapshotsConfig(), 7)
    bench.happen(*(event_of(7, "line", rule=f"rule{number}") for number in range(4)))
    addresses = [each.snapshot_url for each in bench.taken if isinstance(each, Event)]
    assert [each is not None for each in addresses] == [True, True, False, False]
    assert bench.fates == {"queue": 2}


def test_view_whose_frame_was_given_up_has_a_crop_alone(bench: Bench) -> None:
    bench.show(SnapshotsConfig(), 7)
    album = bench.events.album("yolox")
    album._most_bytes = 1
    album.saw(info(9), found((8, BOX, 0.9)), picture(), SnapshotsConfig())
    event = event_of(7)
    bench.happen(event)
    assert bench.disk.files.keys() == {(event_id("gate-01", event), "jpg")}
