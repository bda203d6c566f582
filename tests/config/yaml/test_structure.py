"""Shape and type of a file's values: which option a fault belongs to, and what is put in its place."""

from __future__ import annotations

from typing import Any

import pytest

from framelane.config.yaml.structure import field_of, validate

GOOD: dict[str, Any] = {
    "jsonl": {"path": "-"},
    "models": {"yolox": {"path": "m.onnx"}},
    "streams": [{"id": "lobby", "url": "rtsp://10.0.0.7/1"}],
}


def outcome(**changes: Any) -> tuple[list[tuple[str, str]], Any]:
    """Problems as path and message, and the configuration that is left."""
    data = {**GOOD, **changes}
    found = validate(data, data, ())
    return [("/".join(map(str, each.path)), each.message) for each in found.problems], found.config


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("streams", 2, "classes", 1), ("streams", 2, "classes")),
        (("streams", 2, "lines", "street", "points", 0), ("streams", 2, "lines", "street", "points")),
        (("streams", 2), ("streams", 2)),
        (("models", "yolox", "engine", "workspace"), ("models", "yolox", "engine", "workspace")),
        (("mqtt", "tls", "ca_file"), ("mqtt", "tls", "ca_file")),
        (("nonsense", "a"), ("nonsense",)),
        ((), ()),
    ],
)
def test_fault_belongs_to_the_option_around_it(
    path: tuple[str | int, ...], expected: tuple[str | int, ...]
) -> None:
    assert field_of(path) == expected


def test_good_file_has_no_problems() -> None:
    problems, config = outcome()
    assert problems == []
    assert config.streams[0].id == "lobby"


def test_faulty_option_gets_its_default_and_the_rest_is_still_read() -> None:
    stream = {"id": "lobby", "url": "rtsp://10.0.0.7/1", "fps": "fast", "classes": ["person"]}
    problems, config = outcome(streams=[stream])
    assert [path for path, _ in problems] == ["streams/0/fps"]
    assert (config.streams[0].fps, config.streams[0].classes) == (None, ["person"])


def test_missing_option_gets_a_placeholder_and_all_faults_come_at_once() -> None:
    problems, config = outcome(streams=[{"id": "lobby"}, {"url": "rtsp://10.0.0.7/2", "transport": "smoke"}])
    assert sorted(path for path, _ in problems) == ["streams/0/url", "streams/1/id", "streams/1/transport"]
    assert [each.id for each in config.streams] == ["lobby", "placeholder"]


def test_misspelt_key_is_one_problem_with_the_right_name() -> None:
    problems, _ = outcome(streams=[{"id": "lobby", "ulr": "rtsp://10.0.0.7/1"}])
    ((path, message),) = problems
    assert path == "streams/0/ulr"
    assert "did you mean `url`?" in message


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"streams": []}, "streams"),
        ({"streams": "nonsense"}, "streams"),
        ({"streams": ["nonsense"]}, "streams/0"),
        ({"models": []}, "models"),
        ({"models": {"a b": {"path": "m.onnx"}}}, "models/a b"),
        ({"mqtt": None}, None),
        ({"mqtt": {}}, "mqtt/url"),
    ],
)
def test_section_of_another_shape_is_reported_where_it_is(changes: dict[str, Any], path: str | None) -> None:
    problems, config = outcome(**changes)
    assert [each for each, _ in problems] == ([] if path is None else [path])
    assert config is not None


def test_streams_may_be_left_to_a_folder_or_to_http() -> None:
    for changes in ({"streams_dir": "streams.d"}, {"http": {"listen": "127.0.0.1:0"}}):
        data = {**GOOD, "streams": [], **changes}
        assert validate(data, data, ()).problems == []
    data = {key: value for key, value in GOOD.items() if key != "streams"}
    assert validate(data, data, (), needs_streams=False).problems == []


def test_value_that_was_reported_before_is_not_reported_again() -> None:
    data = {**GOOD, "streams": [{"id": "lobby", "url": None}]}
    assert [each.path for each in validate(data, data, ()).problems] == [("streams", 0, "url")]
    assert validate(data, data, [("streams", 0, "url")]).problems == []
