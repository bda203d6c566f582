"""Edits of streams: their effect, their files, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.yaml.load import check_config
from framelane.control.stream_edits import StreamEdits
from framelane.control.stream_folder import MARK
from framelane.core.errors import (
    ConfigError,
    ConflictError,
    FramelaneError,
    NotStoredError,
    UnknownStreamError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.control.conftest import Rig

GATE = {"id": "gate", "url": "rtsp://u:pass4711@10.0.0.8/1", "fps": 10, "loop": False, "classes": None}
TEXTS = ["no", "007", "1e5", "~", "null", "", " a ", "a: b", "#x", "\u00fc", "- x", "<<", "=", "'"]


def texts(rig: Rig) -> dict[str, str]:
    return {file.name: file.read_text() for file in (rig.main.parent / "streams.d").iterdir()}


def test_added_stream_is_kept_in_a_file_that_reads_the_same(rig: Rig) -> None:
    assert rig.edits.add(GATE, persist=None).added == ("gate",)
    expected = "id: gate\nurl: rtsp://u:pass4711@10.0.0.8/1\nfps: 10\nloop: false\nclasses: null\n"
    assert texts(rig) == {"gate.yaml": MARK + expected}
    assert dict(check_config(rig.main, {}).require().streams[1]) == dict(rig.live.config.streams[1])
    assert rig.live.reload().changed == ()


@pytest.mark.parametrize("value", TEXTS)
def test_any_text_survives_its_file(rig: Rig, value: str) -> None:
    rig.edits.add({**GATE, "ffmpeg": {"title": value}}, persist=True)
    assert check_config(rig.main, {}).require().streams[1].ffmpeg == {"title": value}


def test_answers_show_options_in_effect_and_no_credential(rig: Rig) -> None:
    rig.edits.add({**GATE, "ffmpeg": {"headers": "Cookie: id=4711"}}, persist=None)
    shown = rig.edits.shown("gate")
    assert (shown["url"], shown["ffmpeg"]) == ("rtsp://***@10.0.0.8/1", {"headers": "***"})
    assert (shown["model"], shown["fps"], shown["persisted"]) == ("yolox", 10, True)
    assert shown["source"] == str(rig.folder.file_of("gate"))
    assert "hunter2" not in str(rig.edits.listed())
    assert [each["id"] for each in rig.edits.listed()] == ["lobby", "gate"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://h/1", "rtsp://h/1"),
        ("rtsp://user@h/1", "rtsp://***@h/1"),
        ("rtsp://viewer:2024/Zugang@10.0.0.7/1", "rtsp://***@10.0.0.7/1"),
        ("rtsp://viewer:p@ss/Zugang@10.0.0.7/1", "rtsp://***@10.0.0.7/1"),
        ("rtsp://u:p%40s@h:554/1?x=1", "rtsp://***@h:554/1?x=1"),
        ("http://h/cgi?user=a&pwd=geheim1", "http://h/cgi?user=a&pwd=***"),
        ("/clips/a@b.mp4", "/clips/a@b.mp4"),
    ],
)
def test_url_is_shown_without_credentials(rig: Rig, url: str, expected: str) -> None:
    rig.edits.add({"id": "x", "url": url}, persist=False)
    assert rig.edits.shown("x")["url"] == expected


def test_change_names_what_changes_and_keeps_the_rest(rig: Rig) -> None:
    rig.edits.add(GATE, persist=None)
    assert rig.edits.change("gate", {"fps": None, "classes": ["car"]}, persist=None).changed == ("gate",)
    stream = rig.live.config.streams[1]
    assert (stream.fps, stream.classes, stream.url.get_secret_value()) == (None, ["car"], GATE["url"])
    assert "fps: null\n" in texts(rig)["gate.yaml"]


def test_rules_are_added_shown_kept_in_their_file_and_changed(rig: Rig) -> None:
    line = {"points": [[0.1, 0.7], [0.9, 0.7]], "classes": ["person"]}
    rules = {"track": True, "lines": {"street": line}, "events": {"reset": "00:00"}}
    rig.edits.add({**GATE, **rules}, persist=None)
    shown = rig.edits.shown("gate")
    assert shown["lines"] == {"street": {**line, "anchor": "bottom", "max_gap_s": 2.0, "min_boxes": 1}}
    assert (shown["zones"], shown["events"]["reset"]) == ({}, "00:00")
    assert dict(check_config(rig.main, {}).require().streams[1]) == dict(rig.live.config.streams[1])
    # What is shown can be sent back.
    same = {key: shown[key] for key in ("lines", "zones", "events")}
    assert rig.edits.change("gate", same, persist=None).changed == ()
    assert rig.edits.change("gate", {"lines": {}}, persist=None).reopened == ()
    assert rig.live.config.streams[1].lines == {}


def test_change_without_a_file_lasts_until_its_file_is_read_again(rig: Rig) -> None:
    rig.edits.add(GATE, persist=None)
    rig.edits.change("lobby", {"fps": 1}, persist=False)
    rig.edits.change("gate", {"fps": 1}, persist=False)
    rig.edits.add({**GATE, "id": "loose"}, persist=False)
    assert [each["persisted"] for each in rig.edits.listed()] == [False, False, False]
    assert rig.live.reload_folder().changed == ("gate",)
    fps = {stream.id: stream.fps for stream in rig.live.config.streams}
    assert fps == {"lobby": 1, "gate": 10, "loose": 10}
    outcome = rig.live.reload()
    assert (outcome.changed, outcome.removed) == (("lobby",), ("loose",))


def test_loose_stream_is_kept_when_a_change_of_it_is(rig: Rig) -> None:
    rig.edits.add(GATE, persist=False)
    assert texts(rig) == {}
    rig.edits.change("gate", {"fps": 2}, persist=True)
    assert "fps: 2\n" in texts(rig)["gate.yaml"]
    rig.edits.remove("gate", persist=None)
    assert (texts(rig), rig.ids) == ({}, ["lobby"])


def test_files_of_others_are_left_alone(rig: Rig) -> None:
    hand = rig.main.parent / "streams.d/gate.yaml"
    hand.write_text("# mine\nid: other\nurl: rtsp://h\n")
    rig.live.reload_folder()
    with pytest.raises(
        NotStoredError, match=r"gate\.yaml was not written by Framelane and would be overwritten"
    ):
        rig.edits.add(GATE, persist=None)
    with pytest.raises(NotStoredError, match="which is written by hand: change it there"):
        rig.edits.change("other", {"fps": 1}, persist=None)
    for stream in ("other", "lobby"):
        with pytest.raises(NotStoredError, match="which is written by hand: change it there"):
            rig.edits.remove(stream, persist=None)
    rig.edits.add(GATE, persist=False)
    rig.edits.remove("gate", persist=None)  # it has no file, and gate.yaml is not it
    assert hand.read_text().startswith("# mine")
    assert rig.ids == ["lobby", "other"]


def test_change_is_not_persisted_without_a_folder(rig: Rig) -> None:
    edits = StreamEdits(rig.live, None)
    edits.add(GATE, persist=None)
    assert not edits.shown("gate")["persisted"]
    with pytest.raises(NotStoredError, match="there is no folder to persist it in"):
        edits.change("gate", {"fps": 1}, persist=True)


def test_refused_change_leaves_no_file(rig: Rig) -> None:
    rig.node.refusal = ConflictError("no")
    with pytest.raises(ConflictError):
        rig.edits.add(GATE, persist=None)
    assert (texts(rig), rig.ids) == ({}, ["lobby"])


def test_change_that_cant_be_kept_is_not_made(rig: Rig) -> None:
    (rig.main.parent / "streams.d").rmdir()
    (rig.main.parent / "streams.d").write_text("a file")
    with pytest.raises(NotStoredError, match=r"can't be changed: .*; make the folder writable"):
        StreamEdits(rig.live, rig.folder).add(GATE, persist=None)
    assert (rig.node.committed, rig.ids) == ([], ["lobby"])


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda edits: edits.add({"url": "rtsp://h"}, persist=None), ConfigError,
         "id: is missing; expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit"),
        (lambda edits: edits.add({"id": "../x", "url": "rtsp://h"}, persist=None), ConfigError,
         "id: expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit; got `../x`"),
        (lambda edits: edits.add({**GATE, "fps": "${NAME}", "loop": 3}, persist=None), ConfigError,
         ("fps: `${` begins a variable, which works only in files; write the value itself\n"
          "loop: expected `true` or `false`; got `3`")),
        (lambda edits: edits.add({**GATE, "ffmpeg": {"a": "***"}}, persist=None), ConfigError,
         "ffmpeg.a: contains `***`, which replies show in place of a secret; omit this key to keep its value"),
        (lambda edits: edits.add({**GATE, "classes": [[[[[[[[[[1]]]]]]]]]]}, persist=None), ConfigError,
         "classes[0][0][0][0][0][0][0][0]: is nested too deeply"),
        (lambda edits: edits.add({**GATE, "id": "lobby"}, persist=None), ConflictError,
         "`lobby` is already the id of streams[0]"),
        (lambda edits: edits.change("lobby", {"id": "x"}, persist=False), ConfigError,
         "id: can't be changed; remove the stream and add another"),
        (lambda edits: edits.change("lobby", {"url": None}, persist=False), ConfigError,
         "url: expected text; got nothing"),
        (lambda edits: edits.shown("none"), UnknownStreamError, "no stream has the id `none`"),
        (lambda edits: edits.remove("none", persist=None), UnknownStreamError, "no stream has the id `none`"),
    ],
)  # fmt: skip
def test_errors_are_reported_with_path_and_message(
    rig: Rig, change: Callable[[StreamEdits], Any], kind: type[FramelaneError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        change(rig.edits)
    assert sorted(str(caught.value).splitlines()) == sorted(said.splitlines())
    assert (rig.node.committed, texts(rig)) == ([], {})
