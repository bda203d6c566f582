"""Secrets of a configuration: read from their files, registered for redaction, found in clear text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.checks.secrets import (
    clear_text_secrets,
    read_secret,
    read_secrets,
    register_secrets,
)
from framelane.config.sections.schema import Config
from framelane.core.redact import redact

if TYPE_CHECKING:
    from pathlib import Path

STREAM = {"id": "lobby", "url": "rtsp://10.0.0.7/1", "model": "yolox"}
LONG = "hunter2hunter2"


def config(**sections: Any) -> Config:
    base: dict[str, Any] = {
        "models": {"yolox": {"path": "m.onnx"}},
        "mqtt": {"url": "mqtt://127.0.0.1"},
        "streams": [STREAM],
    }
    return Config.model_validate({**base, **sections})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n\n", "hunter2"),
        (b" hunter2 \n", " hunter2 "),
        ("\ufeffgeheim".encode(), "geheim"),
    ],
)
def test_secret_is_the_text_of_its_file_without_the_line_end(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    assert read_secret(file) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"x" * 65_537, "is too large for a secret"),
    ],
)
def test_file_that_holds_no_secret_is_a_problem_at_its_key(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    _, problems = read_secrets(config(http={"token_file": str(file)}))
    assert [(each.path, each.message) for each in problems] == [
        (("http", "token_file"), f"{file} {message}"),
    ]


def test_all_problems_with_secrets_come_at_once(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    _, problems = read_secrets(
        config(
            mqtt={"url": "mqtt://h", "username": "u", "password_file": str(absent)},
            http={"token": " ", "token_file": str(absent)},
        )
    )
    assert [(each.path, each.message) for each in problems] == [
        (("mqtt", "password_file"), f"can't read {absent}: No such file or directory"),
        (("http", "token"), "is empty; remove it"),
        (("http", "token_file"), "both `token` and `token_file` are set; keep one"),
    ]


def test_secret_of_a_bucket_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{LONG}\n")
    s3 = {"bucket": "cams", "access_key": "a", "secret_key_file": str(file)}
    read, problems = read_secrets(config(media={"folder": "m", "s3": s3}))
    assert problems == []
    assert read.media.s3 is not None
    assert read.media.s3.secret_key is not None
    assert read.media.s3.secret_key.get_secret_value() == LONG
    assert read.media.folder == "m"
    _, problems = read_secrets(config(media={"s3": {**s3, "secret_key": LONG}}))
    assert [(each.path, each.message) for each in problems] == [
        (("media", "s3", "secret_key_file"), "both `secret_key` and `secret_key_file` are set; keep one"),
    ]


@pytest.mark.parametrize(
    "sections",
    [
        {"mqtt": {"url": "mqtt://h", "username": "u", "password": LONG}},
        {"mqtt": {"url": f"mqtt://u:{LONG}@h"}},
        {"http": {"listen": "127.0.0.1:8080", "token": LONG}},
        {"media": {"folder": "m", "s3": {"bucket": "cams", "access_key": "a", "secret_key": LONG}}},
        {"streams": [{**STREAM, "url": f"rtsp://u:{LONG}@h/1"}]},
        {"streams": [{**STREAM, "url": f"http://h/jpg?user=a&Token={LONG}#x"}]},
        {"streams": [{**STREAM, "preview_url": f"rtsp://u:{LONG}@h/2"}]},
        {"streams": [{**STREAM, "preview_url": f"rtsp://h/2?token={LONG}"}]},
        {"streams": [{**STREAM, "ffmpeg": {"password": LONG}}]},
        {"streams": [{**STREAM, "ffmpeg": {"headers": f"X-A: 1\r\nX-Key: {LONG}\r\n"}}]},
        {"streams": [{**STREAM, "ffmpeg": {"cookies": f"{LONG}\nb=2; path=/"}}]},
    ],
)
def test_secret_is_masked_wherever_it_comes_from(sections: dict[str, Any]) -> None:
    """Its text has nothing around it that would give it away otherwise."""
    assert redact(f"the words {LONG} are here") == f"the words {LONG} are here"
    register_secrets(config(**sections))
    assert redact(f"the words {LONG} are here") == "the words *** are here"


def test_what_is_no_secret_is_not_masked() -> None:
    register_secrets(
        config(
            streams=[
                {**STREAM, "url": "http://h/jpg?channel=entrance", "ffmpeg": {"user_agent": "Framelane/1"}}
            ]
        )
    )
    assert redact("entrance Framelane/1") == "entrance Framelane/1"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"mqtt": {"password": LONG}}, [("mqtt", "password")]),
        ({"http": {"token": LONG}}, [("http", "token")]),
        ({"media": {"s3": {"secret_key": LONG}}}, [("media", "s3", "secret_key")]),
        ({"media": {"s3": {"secret_key": "${S3_SECRET}"}}}, []),
        ({"mqtt": {"password": "${MQTT_PW}"}, "http": {"token": ""}}, []),
        ({"mqtt": {"url": f"mqtt://u:{LONG}@h"}}, [("mqtt", "url")]),
        ({"mqtt": {"url": "mqtt://u:${PW}@h"}}, []),
        (
            {"streams": [{"url": "rtsp://h/1"}, {"url": f"rtsp://u:{LONG}@h/1"}, "nonsense", {"url": 7}]},
            [("streams", 1, "url")],
        ),
        (
            {"streams": [{"url": "rtsp://h/1", "preview_url": f"rtsp://u:{LONG}@h/2"}]},
            [("streams", 0, "preview_url")],
        ),
        ({"streams": "nonsense", "mqtt": None}, []),
    ],
)
def test_secrets_in_clear_text_are_found_in_what_is_written(
    written: dict[str, Any], expected: list[tuple[str | int, ...]]
) -> None:
    assert clear_text_secrets(written) == expected
