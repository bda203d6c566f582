"""First files: valid as they are, and with every comment taken at its word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from framelane.cli.check_report import check_all
from framelane.config.starter.first_file import DEMO_NOTE, FirstFile
from framelane.config.starter.hidden_secrets import Secret
from framelane.config.yaml.load import check_text

if TYPE_CHECKING:
    from pathlib import Path

SECRET = Secret("GATE_PW", "hunter2", "the password of stream `gate`")
STREAMS = (("gate", "rtsp://a:${GATE_PW}@h/1"), ("no", "rtsp://h/é\"'\\#: 2"))
MQTT = {"url": "mqtt://h:1883", "username": "null", "password": "${GATE_PW}"}


def first(mqtt: dict[str, str] | None) -> FirstFile:
    return FirstFile(STREAMS, "demo", {"path": "demo"}, mqtt, (SECRET,), DEMO_NOTE)


@pytest.mark.parametrize("mqtt", [MQTT, None])
def test_a_first_file_says_what_it_was_told(tmp_path: Path, mqtt: dict[str, str] | None) -> None:
    config = check_text(first(mqtt).text(), tmp_path, {"GATE_PW": "hunter2"}).require()
    assert [(stream.id, stream.url.get_secret_value()) for stream in config.streams] == [
        ("gate", "rtsp://a:hunter2@h/1"),
        STREAMS[1],
    ]
    assert (config.mqtt is not None, config.jsonl is not None) == (mqtt is not None, mqtt is None)
    if config.mqtt is not None:
        assert (config.mqtt.username, config.mqtt.url) == ("null", "mqtt://h:1883")


@pytest.mark.parametrize("mqtt", [MQTT, None])
def test_every_comment_that_shows_a_key_is_right(tmp_path: Path, mqtt: dict[str, str] | None) -> None:
    text = first(mqtt).text()
    example = re.compile(r"(?m)^( *)# (\w+:) ")
    keys = ["node:", "prefix:", "http:", "confidence:", "fps:", "track:"]
    assert [found[2] for found in example.finditer(text)] == (
        keys if mqtt is not None else ["node:", "mqtt:", *keys[2:]]
    )
    shown = example.sub(r"\1\2 ", text)
    (tmp_path / "site.yaml").write_text(shown)
    findings, _ = check_all(tmp_path / "site.yaml", {"GATE_PW": "hunter2"})
    assert findings == []


def test_no_secret_is_in_the_text() -> None:
    text = first(MQTT).text()
    assert "hunter2" not in text
    assert "#   GATE_PW  the password of stream `gate`" in text.splitlines()
