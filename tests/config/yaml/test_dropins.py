"""Streams from a folder beside the main file: which files count, findings, and changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.dropins import fingerprint
from framelane.config.yaml.load import check_config

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """
mqtt: {url: "mqtt://127.0.0.1"}
models: {yolox: {path: m.onnx}}
defaults: {fps: 7}
streams_dir: streams.d
"""
LOBBY = 'streams: [{id: lobby, url: "rtsp://10.0.0.7/1"}]\n'


@pytest.fixture
def main(base: Path) -> Path:
    """A main file with a folder of streams beside it."""
    (base / "streams.d").mkdir()
    (base / "framelane.yaml").write_text(MAIN)
    return base / "framelane.yaml"


def put(main: Path, name: str, text: str) -> Path:
    file = main.parent / "streams.d" / name
    file.write_text(text)
    return file


def ids(main: Path) -> list[str]:
    return [stream.id for stream in check_config(main, {"PW": "hunter2hunter2"}).require().streams]


def findings(main: Path) -> list[str]:
    return [str(each).replace(f"{main.parent}/", "") for each in check_config(main, {}).findings]


def test_files_hold_one_stream_or_a_list_and_come_after_the_main_file_by_name(main: Path) -> None:
    main.write_text(MAIN + LOBBY, encoding="utf-8")
    put(main, "b.yml", "- {id: b1, url: clips/b.mp4}\n- id: b2\n  url: 'rtsp://u:${PW}@h/2'\n")
    put(main, "a.yaml", "id: a\nurl: rtsp://h/a\nfps: 3\n")
    put(main, "all-commented-out.yaml", "# id: c\n")
    assert ids(main) == ["lobby", "a", "b1", "b2"]
    streams = check_config(main, {"PW": "hunter2hunter2"}).require().streams
    assert [stream.fps for stream in streams] == [7, 3, 7, 7]
    assert streams[2].url.get_secret_value() == str(main.parent / "clips/b.mp4")
    assert streams[3].url.get_secret_value() == "rtsp://u:hunter2hunter2@h/2"


@pytest.mark.parametrize("name", [".a.yaml.new", ".hidden.yaml", "a.yaml~", "a.txt", "a.yaml.bak"])
def test_other_files_do_not_count(main: Path, name: str) -> None:
    put(main, name, "nonsense: [")
    assert ids(main) == []


def test_a_folder_may_be_empty_or_missing_and_the_main_file_without_streams(main: Path) -> None:
    assert ids(main) == []
    (main.parent / "streams.d").rmdir()
    assert ids(main) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: a\nurl: rtsp://h\nfps: fast\n",
         "streams.d/a.yaml:3: fps: expected a number above 0 and at most 1000, or null; got `fast`"),
        ("- id: a\n  url: rtsp://h\n- id: b\n  ulr: rtsp://h\n",
         "streams.d/a.yaml:4: [1].ulr: unknown key `ulr`; did you mean `url`?"),
        ("id: lobby\nurl: rtsp://h\n", "streams.d/a.yaml:1: id: `lobby` is already the id of streams[0]"),
        ("- {id: a, url: rtsp://h}\n- {id: a, url: rtsp://h}\n",
         "streams.d/a.yaml:2: [1].id: `a` is already the id of streams.d/a.yaml [0]"),
        ("id: z\nurl: rtsp://h\n", "streams.d/z.yaml:1: id: `z` is already the id of streams.d/a.yaml"),
        ("id: a\nurl: rtsp://h/${NONE}\n",
         "streams.d/a.yaml:2: url: the environment has no variable `NONE`; set it, or write `${NONE:-fallback}`"),
        ("id: a\nid: b\nurl: rtsp://h\n", "streams.d/a.yaml:1: id: duplicate key, on lines 1 and 2"),
        ("- {id: a, url: rtsp://h, crop: [1, 0, 0, 1]}\n",
         "streams.d/a.yaml:1: [0].crop: left (1) must be less than right (0)"),
        ("hello", "streams.d/a.yaml: expected a stream (a map with `id` and `url`), or a list of streams"),
        ("- [1, 2", "streams.d/a.yaml:1: expected `,` or `]` to continue or end the list (column 8)"),
        ("- lobby\n", "streams.d/a.yaml:1: [0]: expected a map; got `lobby`"),
    ],
)  # fmt: skip
def test_findings_name_file_line_and_key(main: Path, text: str, expected: str) -> None:
    main.write_text(MAIN + LOBBY, encoding="utf-8")
    put(main, "a.yaml", text)
    put(main, "z.yaml", "id: z\nurl: rtsp://h\n")
    assert findings(main) == [expected]


def test_findings_of_all_files_come_at_once(main: Path) -> None:
    main.write_text(MAIN.replace("fps: 7", "fps: -7") + LOBBY, encoding="utf-8")
    put(main, "a.yaml", "id: a\n")
    put(main, "b.yaml", "- {id: b, url: rtsp://h, fps: 0}\n")
    places = [each.partition(": expected")[0] for each in findings(main)]
    assert places == [
        "defaults.fps",
        "streams.d/a.yaml:1: url: is missing; expected text",
        "streams.d/b.yaml:1: [0].fps",
    ]


def test_unreadable_file_is_a_finding(main: Path) -> None:
    (main.parent / "streams.d" / "a.yaml").symlink_to("nowhere")
    (main.parent / "streams.d" / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert findings(main) == [
        "streams.d/a.yaml: can't be read: No such file or directory",
        "streams.d/b.yaml: is not UTF-8 text (byte 0)",
    ]


def test_missing_streams_are_a_finding_without_a_folder(main: Path) -> None:
    main.write_text(MAIN.replace("streams_dir: streams.d\n", ""), encoding="utf-8")
    assert findings(main) == ["streams: is missing; expected a list of maps"]


def test_fingerprint_changes_with_content_names_and_links(main: Path) -> None:
    folder = main.parent / "streams.d"
    seen = [fingerprint(folder)]

    def changed() -> bool:
        seen.append(fingerprint(folder))
        return seen[-1] != seen[-2]

    assert not changed()
    put(main, "a.yaml", "id: a")
    assert changed()
    put(main, "a.yaml", "id: abc")
    assert changed()
    os.utime(folder / "a.yaml", ns=(1, 1))
    assert changed()
    for version in ("..v1", "..v2"):
        (folder / version).mkdir()
        (folder / version / "b.yaml").write_text("id: b")
        os.utime(folder / version / "b.yaml", ns=(1, 1))
    (folder / "..data").symlink_to("..v1")
    assert not changed()
    (folder / "b.yaml").symlink_to("..data/b.yaml")
    assert changed()
    (folder / "..tmp").symlink_to("..v2")
    (folder / "..tmp").rename(folder / "..data")
    assert changed()
    (folder / "b.yaml").unlink()
    assert changed()
    assert not changed()
