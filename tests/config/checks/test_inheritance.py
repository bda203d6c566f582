"""What a file leaves out, filled in without reading any file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.built_in_models import BUILT_IN_MODELS
from framelane.config.checks.inheritance import complete, inherit
from framelane.config.sections.schema import Config
from framelane.config.sections.stream import StreamConfig, StreamOptions

if TYPE_CHECKING:
    from framelane.config.sections.mqtt import MqttConfig

BASE = Path("/etc/framelane")


def completed(**sections: Any) -> Config:
    written = {"models": {"first": {"path": "m.onnx"}, "second": {"path": "/m.onnx"}}, **sections}
    return complete(Config.model_validate(written), BASE)


def stream(**options: Any) -> StreamConfig:
    return completed(streams=[{"id": "a", **options}]).streams[0]


def mqtt(**options: Any) -> MqttConfig:
    found = completed(mqtt=options).mqtt
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ({}, {}, {"fps": None, "loop": False}),
        ({}, {"fps": 5, "loop": True}, {"fps": 5.0, "loop": True}),
        ({"fps": 7}, {"fps": 5}, {"fps": 7.0}),
        ({"fps": None}, {"fps": 5}, {"fps": None}),
        ({"fps": 7}, {"loop": True}, {"fps": 7.0, "loop": True}),
        ({"classes": ["a"]}, {"classes": ["b", "c"]}, {"classes": ["a"]}),
    ],
)
def test_inherit_takes_what_the_stream_does_not_set(
    own: dict[str, Any], defaults: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = inherit(
        StreamConfig.model_validate({"id": "a", "url": "b", **own}), StreamOptions.model_validate(defaults)
    )
    assert expected == {name: getattr(found, name) for name in expected}


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ({}, {"first_s": 2, "most_s": 9}, (2.0, 9.0)),
        ({"first_s": 3}, {"first_s": 2, "most_s": 9}, (3.0, 9.0)),
        ({"first_s": 3, "most_s": 4}, {"most_s": 9}, (3.0, 4.0)),
    ],
)
def test_inherit_takes_backoff_key_by_key(
    own: dict[str, Any], defaults: dict[str, Any], expected: tuple[float, float]
) -> None:
    options = {"id": "a", "url": "b", **({"backoff": own} if own else {})}
    found = inherit(StreamConfig.model_validate(options), StreamOptions.model_validate({"backoff": defaults}))
    assert expected == (found.backoff.first_s, found.backoff.most_s)


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ({}, {}, None),
        ({}, {"events": {"still_s": 5}}, (5.0, None)),
        ({"events": {"reset": "04:00"}}, {"events": {"still_s": 5}}, (5.0, "04:00")),
        ({"events": {"reset": "04:00"}}, {}, (10.0, "04:00")),
        ({"events": {"still_s": 7}}, {"events": {"still_s": 5, "reset": "04:00"}}, (7.0, "04:00")),
        ({"events": {}}, {"events": {"still_s": 5}}, (5.0, None)),
        ({"events": None}, {"events": {"still_s": 5}}, None),
        ({"lines": {"a": {"points": [[0, 0], [1, 1]]}}, "events": None}, {"events": {"still_s": 5}}, (10.0, None)),
        ({"track": False}, {"events": {"still_s": 5}}, None),
    ],
)  # fmt: skip
def test_inherit_takes_events_key_by_key(
    own: dict[str, Any], defaults: dict[str, Any], expected: tuple[float, str | None] | None
) -> None:
    options = {"id": "a", "url": "b", "track": True, **own}
    found = inherit(
        StreamConfig.model_validate(options), StreamOptions.model_validate(defaults)
    ).event_options
    assert expected == (found and (found.still_s, found.reset))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("clips/a.mp4", "/etc/framelane/clips/a.mp4"),
        ("/clips/a.mp4", "/clips/a.mp4"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("http://cam/a.jpg", "http://cam/a.jpg"),
        ("gopher://cam", "gopher://cam"),
    ],
)
def test_complete_makes_paths_of_streams_absolute(url: str, expected: str) -> None:
    assert expected == stream(url=url).url.get_secret_value()


@pytest.mark.parametrize(
    ("model", "expected"), [(None, ["first"]), ("second", ["second"]), (["second", "first"],) * 2]
)
def test_complete_gives_a_stream_the_first_model(model: Any, expected: list[str]) -> None:
    assert expected == stream(url="a", model=model).model_keys


def test_complete_fills_publish_and_certificates_key_by_key() -> None:
    config = completed(
        publish={"empty": "never", "max_rate": 5},
        defaults={"tls": {"ca_file": "ca.pem"}},
        streams=[{"id": "a", "url": "b", "publish": {"max_rate": 1}, "tls": {"verify": True}}],
    )
    found = config.streams[0]
    assert (found.publish.empty, found.publish.max_rate) == ("never", 1.0)
    assert (found.tls.verify, found.tls.ca_file) == (True, "/etc/framelane/ca.pem")
    assert config.defaults.tls.ca_file == "/etc/framelane/ca.pem"


def test_complete_makes_paths_of_models_absolute_but_not_their_built_in_labels() -> None:
    models: dict[str, Any] = {
        label: {"path": "m.onnx", "labels": label, "engine": {"folder": "e", "calibration": "c"}}
        for label in ("auto", "coco", "names.txt")
    }
    models["list"] = {"path": "/m.onnx", "labels": ["auto"]}
    found = completed(models=models).models
    assert [model.labels for model in found.values()] == [
        "auto",
        "coco",
        "/etc/framelane/names.txt",
        ["auto"],
    ]
    assert [model.path for model in found.values()] == ["/etc/framelane/m.onnx"] * 3 + ["/m.onnx"]
    engine = found["coco"].engine
    assert (engine.folder, engine.calibration) == ("/etc/framelane/e", "/etc/framelane/c")


@pytest.mark.parametrize(("path", "expected"), [("-", "-"), ("out/a.jsonl", "/etc/framelane/out/a.jsonl")])
def test_complete_leaves_standard_output_as_it_is(path: str, expected: str) -> None:
    jsonl = completed(jsonl={"path": path}).jsonl
    assert jsonl is not None
    assert expected == jsonl.path


@pytest.mark.parametrize(("folder", "expected"), [(None, None), ("j", "/etc/framelane/j"), ("/j", "/j")])
def test_complete_makes_the_journals_folder_absolute(folder: str | None, expected: str | None) -> None:
    assert expected == completed(journal={"folder": folder}).journal.folder


@pytest.mark.parametrize(
    ("folders", "expected"), [(None, None), ([], []), (["a", "/b"], ["/etc/framelane/a", "/b"])]
)
def test_complete_makes_source_folders_absolute(folders: Any, expected: Any) -> None:
    http = completed(http={"source_folders": folders, "token_file": "t", "cert_file": "/c"}).http
    assert (expected, "/etc/framelane/t", "/c", None) == (
        http.source_folders,
        http.token_file,
        http.cert_file,
        http.key_file,
    )


@pytest.mark.parametrize(
    ("options", "url", "username", "password"),
    [
        ({"url": "mqtt://h:1884"}, "mqtt://h:1884", None, None),
        ({"url": "mqtt://u:p%40x@h"}, "mqtt://h:1883", "u", "p@x"),
        ({"url": "mqtt://u@h", "password": "pass"}, "mqtt://h:1883", "u", "pass"),
        ({"url": "mqtt://h", "username": "u", "password": "pass"}, "mqtt://h", "u", "pass"),
        ({"url": "nonsense", "username": "u"}, "nonsense", "u", None),
    ],
)
def test_complete_moves_the_brokers_login_out_of_its_url(
    options: dict[str, str], url: str, username: str | None, password: str | None
) -> None:
    found = mqtt(**options)
    given = found.password.get_secret_value() if found.password else None
    assert (url, username, password) == (found.url, found.username, given)


def test_complete_makes_the_brokers_files_absolute_even_when_its_url_is_bad() -> None:
    found = mqtt(
        url="nonsense", password_file="p", tls={"ca_file": "ca", "key_file": "/k"}, spool={"folder": "s"}
    )
    assert (
        found.password_file,
        found.tls.ca_file,
        found.tls.cert_file,
        found.tls.key_file,
        found.spool.folder,
    ) == (
        "/etc/framelane/p",
        "/etc/framelane/ca",
        None,
        "/k",
        "/etc/framelane/s",
    )


def test_complete_leaves_out_what_is_not_there() -> None:
    config = completed(streams_dir="more")
    assert (config.mqtt, config.jsonl, config.streams_dir, config.streams) == (
        None,
        None,
        "/etc/framelane/more",
        [],
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("demo", str(BUILT_IN_MODELS["demo"])),
        ("./demo", "/etc/framelane/demo"),
        ("demo.onnx", "/etc/framelane/demo.onnx"),
        ("Demo", "/etc/framelane/Demo"),
        ("models/demo", "/etc/framelane/models/demo"),
    ],
)
def test_a_name_alone_is_a_built_in_model(path: str, expected: str) -> None:
    assert completed(models={"m": {"path": path}}).models["m"].path == expected
