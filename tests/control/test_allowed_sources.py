"""A request may name only files in the configured folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.yaml.load import check_config
from framelane.control.changes import LiveConfig
from framelane.control.stream_edits import StreamEdits
from framelane.core.errors import ConfigError

from .conftest import MAIN, FakeNode

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = (
    "a file or device can't be set over HTTP: add its folder to http.source_folders, "
    "or configure the stream in a file"
)


def edits(folder: Path, http: str) -> StreamEdits:
    for name in ("clips", "clips2", "streams.d"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "m.onnx").touch()
    (folder / "clips" / "out").symlink_to("/etc")
    (folder / "in").symlink_to(folder / "clips")
    main = folder / "framelane.yaml"
    main.write_text(f"{MAIN}  - {{id: file, url: /etc/hostname}}\nhttp: {http}\n")
    live = LiveConfig(main, {}, check_config(main, {}))
    live.attach(FakeNode(dict(live.config.models)))
    live.open()
    return StreamEdits(live, None)


def findings(asked: StreamEdits, options: dict[str, Any]) -> list[str]:
    try:
        asked.add({"id": "x", "url": "rtsps://h/1", **options}, persist=None)
    except ConfigError as error:
        return [str(finding) for finding in error.findings]
    return []


OPEN = '{listen: "127.0.0.1:0"}'
WITH_FOLDER = '{listen: "127.0.0.1:0", source_folders: [clips]}'


@pytest.mark.parametrize("url", ["/etc/passwd", "clips/a.mp4", "../../etc/passwd", "/dev/video0", "/"])
def test_file_is_refused_without_a_token(tmp_path: Path, url: str) -> None:
    assert findings(edits(tmp_path, OPEN), {"url": url}) == [f"url: {REFUSED}"]


@pytest.mark.parametrize("url", ["rtsp://h/1", "https://h/a.m3u8", "RTSP://h/1"])
def test_url_needs_no_folder(tmp_path: Path, url: str) -> None:
    assert findings(edits(tmp_path, OPEN), {"url": url}) == []


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("clips/a.mp4", True),
        ("clips", True),
        ("in/a.mp4", True),
        ("clips/../clips/a.mp4", True),
        ("clips/../clips2/a.mp4", False),
        ("clips2/a.mp4", False),
        ("clips/out/passwd", False),
        ("/etc/passwd", False),
    ],
)
def test_folder_that_is_named_is_open_wherever_links_lead(tmp_path: Path, url: str, *, allowed: bool) -> None:
    assert (findings(edits(tmp_path, WITH_FOLDER), {"url": url}) == []) == allowed


def test_device_may_be_named_if_its_folder_is(tmp_path: Path) -> None:
    http = '{listen: "127.0.0.1:0", source_folders: [/dev]}'
    assert findings(edits(tmp_path, http), {"url": "/dev/video0"}) == []


def test_token_opens_every_folder_unless_some_are_named(tmp_path: Path) -> None:
    http = '{listen: "127.0.0.1:0", token: hunter2hunter2'
    assert findings(edits(tmp_path, f"{http}}}"), {"url": "/etc/passwd"}) == []
    (tmp_path / "in").unlink()
    (tmp_path / "clips" / "out").unlink()
    named = edits(tmp_path, f"{http}, source_folders: [clips]}}")
    assert findings(named, {"url": "/etc/passwd"}) == [f"url: {REFUSED}"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"tls": {"verify": True, "ca_file": "/etc/passwd"}}, "tls.ca_file"),
        ({"ffmpeg": {"protocol_whitelist": "file,http,tcp"}}, "ffmpeg.protocol_whitelist"),
        ({"ffmpeg": {"CAFILE": "/etc/passwd"}}, "ffmpeg.CAFILE"),
    ],
)
def test_options_open_no_file_either(tmp_path: Path, options: dict[str, Any], path: str) -> None:
    (finding,) = findings(edits(tmp_path, OPEN), options)
    assert finding.startswith(f"{path}: ")
    assert "can't be set over HTTP" in finding


def test_file_of_the_configuration_stays_and_its_other_options_may_change(tmp_path: Path) -> None:
    asked = edits(tmp_path, OPEN)
    assert asked.change("file", {"fps": 3}, persist=None).changed == ("file",)
    with pytest.raises(ConfigError, match="can't be set over HTTP"):
        asked.change("file", {"url": "/etc/hosts"}, persist=None)


@pytest.mark.parametrize("url", ["/etc/passwd", "clips/a.mp4", "/dev/video0", "https://h/a.m3u8"])
@pytest.mark.parametrize("http", [OPEN, WITH_FOLDER])
def test_sub_stream_opens_no_file(tmp_path: Path, http: str, url: str) -> None:
    refused = "expected rtsp:// or rtsps://; the page plays no other sub-streams"
    assert findings(edits(tmp_path, http), {"preview_url": url}) == [f"preview_url: {refused}"]
