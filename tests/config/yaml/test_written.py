"""Streams of all files as one list, and the way back: from a place in the list to file, key and line."""

from __future__ import annotations

import pytest

from framelane.config.keypath import Problem
from framelane.config.yaml.document import parse_document
from framelane.config.yaml.written import Entry, Place, Written
from framelane.core.errors import Finding

MAIN = """\
x-common: &common {fps: 5}
mqtt: {url: "mqtt://127.0.0.1"}
streams:
  - {id: lobby, url: "rtsp://h/1"}
  - id: hall
    url: "rtsp://h/2"
"""
DROP_IN = """\
- id: gate
  url: "rtsp://h/3"
  fps: fast
"""


@pytest.fixture
def written() -> Written:
    """The main file with two streams, and one of a file of `streams.d`."""
    more = parse_document(DROP_IN)
    entry = Entry({"id": "gate"}, Place(more, (0,), "streams.d/gate.yaml"))
    return Written.of(parse_document(MAIN)).and_also([entry], [])


def test_streams_are_taken_out_and_anchors_left_out(written: Written) -> None:
    assert set(written.sections) == {"mqtt"}
    assert [entry.id for entry in written.entries] == ["lobby", "hall", "gate"]
    assert written.names == ["streams[0]", "streams[1]", "streams.d/gate.yaml [0]"]
    assert list(written.data) == ["mqtt", "streams"]


@pytest.mark.parametrize("streams", ["[]", "nonsense", "{}"])
def test_streams_that_are_no_list_stay_a_section_for_the_checks(streams: str) -> None:
    written = Written.of(parse_document(f"streams: {streams}\n"))
    assert (list(written.sections), written.entries) == (["streams"], ())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("mqtt", "url"), Finding("mqtt.url", "wrong", "", 2)),
        (("streams", 1, "url"), Finding("streams[1].url", "wrong", "", 6)),
        (("streams", 2, "fps"), Finding("[0].fps", "wrong", "streams.d/gate.yaml", 3)),
        (("streams", 9), Finding("streams[9]", "wrong", "", 3)),
        ((), Finding("", "wrong", "", 1)),
    ],
)
def test_problem_is_found_in_its_own_file(
    written: Written, path: tuple[str | int, ...], expected: Finding
) -> None:
    found = written.finding(Problem(path, "wrong"))
    assert found == expected
    # Equal findings may have different lines.
    assert found.line == expected.line


def test_findings_are_sorted_by_file_and_from_top_to_bottom(written: Written) -> None:
    paths: list[tuple[str | int, ...]] = [
        ("streams", 2, "url"),
        ("streams", 1, "url"),
        ("mqtt", "url"),
        ("streams", 0, "id"),
    ]
    ordered = sorted((Problem(path, "wrong") for path in paths), key=written.order)
    assert [each.path for each in ordered] == [paths[2], paths[3], paths[1], paths[0]]


def test_finding_that_counts_all_streams_gets_its_place_and_others_keep_theirs(written: Written) -> None:
    assert written.located(Finding("streams[2].fps", "wrong")) == Finding(
        "[0].fps", "wrong", "streams.d/gate.yaml"
    )
    own = Finding("fps", "wrong", "streams.d/other.yaml", 3)
    assert written.located(own) is own


def test_other_streams_take_their_problems_along() -> None:
    main = parse_document("mqtt: {a: 1, a: 2}\nstreams:\n  - {id: a, id: b}\n")
    written = Written.of(main)
    assert {each.path[0] for each in written.problems} == {"mqtt", "streams"}
    assert {each.path[0] for each in written.with_entries([]).problems} == {"mqtt"}


def test_stream_over_http_is_in_no_file() -> None:
    place = Place()
    assert (place.name, place.mark(("url",))) == ("a stream added over HTTP", (0, 0))
    assert place.finding(("url",), "wrong") == Finding("url", "wrong")
    assert Entry("nonsense", place).id == Entry({"id": None}, place).id == ""
