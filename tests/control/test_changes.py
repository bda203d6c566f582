"""A change of the configuration is applied as a whole or not at all."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from framelane.core.errors import ConfigError, ConflictError, Finding, ModelError, RestartNeededError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.control.conftest import Rig

GATE = '  - {id: gate, url: "rtsp://10.0.0.8/1"}\n'


def test_reload_applies_the_files(rig: Rig) -> None:
    rig.main.write_text(rig.main.read_text() + GATE)
    (rig.main.parent / "streams.d/more.yaml").write_text("id: more\nurl: rtsp://h\n")
    outcome = rig.live.reload()
    assert (outcome.added, outcome.changed, outcome.removed) == (("gate", "more"), (), ())
    assert rig.node.committed == [["lobby", "gate", "more"]]
    assert rig.ids == ["lobby", "gate", "more"]


def test_bad_file_changes_nothing_and_is_not_prepared(rig: Rig) -> None:
    rig.main.write_text(rig.main.read_text() + GATE.replace("url", "ulr"))
    with pytest.raises(ConfigError) as caught:
        rig.live.reload()
    assert str(caught.value) == "streams[1].ulr: unknown key `ulr`; did you mean `url`?"
    assert (rig.node.prepared, rig.node.committed, rig.ids) == ([], [], ["lobby"])


def test_file_that_lost_its_streams_is_refused_as_at_a_start(rig: Rig) -> None:
    text = rig.main.read_text().replace("streams_dir: streams.d\n", "")
    rig.main.write_text(text[: text.index("streams:")])
    with pytest.raises(ConfigError, match="streams: is missing"):
        rig.live.reload()
    assert rig.ids == ["lobby"]


def test_loaded_model_stays_what_it_is_when_a_file_left_it_out_for_a_while(rig: Rig) -> None:
    good = rig.main.read_text()
    rig.main.write_text(good.replace("yolox:", "other:"))
    assert rig.live.reload().changed == ("lobby",)
    rig.main.write_text(good.replace("path: m.onnx", "path: m.onnx, batch: 3"))
    with pytest.raises(RestartNeededError) as caught:
        rig.live.reload()
    assert [each.path for each in caught.value.findings] == ["models.yolox.batch"]


def test_keys_that_need_a_restart_are_named_and_nothing_is_applied(rig: Rig) -> None:
    rig.main.write_text(rig.main.read_text().replace("id: gate}", "id: door, stats_s: 1}") + GATE)
    with pytest.raises(RestartNeededError) as caught:
        rig.live.reload()
    assert [(each.path, each.line) for each in caught.value.findings] == [("node.id", 2), ("node.stats_s", 2)]
    assert (rig.node.prepared, rig.ids) == ([], ["lobby"])


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (ModelError("m.onnx is not an ONNX model"), "m.onnx is not an ONNX model"),
        (ConfigError([Finding("streams[1].classes[0]", "unknown label `x`")]),
         "{folder}/more.yaml:3: classes[0]: unknown label `x`"),
    ],
)  # fmt: skip
def test_change_that_fails_to_prepare_is_not_committed_and_is_located(
    rig: Rig, refusal: ModelError | ConfigError, said: str
) -> None:
    file = rig.main.parent / "streams.d/more.yaml"
    file.write_text("id: more\nurl: rtsp://h\nclasses: [car]\n")
    rig.node.refusal = refusal
    with pytest.raises(type(refusal)) as caught:
        rig.live.reload()
    assert str(caught.value) == said.format(folder=file.parent)
    assert (rig.node.committed, rig.ids) == ([], ["lobby"])


def test_reload_folder_takes_the_folder_and_leaves_the_main_file_for_later(rig: Rig) -> None:
    rig.main.write_text(rig.main.read_text().replace("id: gate}", "id: door}") + GATE)
    file = rig.main.parent / "streams.d/more.yaml"
    file.write_text("id: more\nurl: rtsp://h\n")
    assert rig.live.reload_folder().added == ("more",)
    file.unlink()
    assert rig.live.reload_folder().removed == ("more",)
    assert rig.ids == ["lobby"]


def test_streams_of_a_folder_that_vanishes_go_on(rig: Rig) -> None:
    file = rig.main.parent / "streams.d/more.yaml"
    file.write_text("id: more\nurl: rtsp://h\n")
    rig.live.reload_folder()
    file.unlink()
    file.parent.rmdir()
    with pytest.raises(ConfigError, match="the folder is gone; its streams keep running"):
        rig.live.reload_folder()
    assert rig.ids == ["lobby", "more"]


def test_reload_without_the_folder_takes_no_stream_of_it(rig: Rig) -> None:
    file = rig.main.parent / "streams.d/more.yaml"
    file.write_text("id: more\nurl: rtsp://h\n")
    rig.live.reload()
    file.parent.rename(rig.main.parent / "away")
    with pytest.raises(ConfigError, match="the folder is gone; its streams keep running"):
        rig.live.reload()
    assert rig.ids == ["lobby", "more"]
    (rig.main.parent / "away").rename(file.parent)
    assert rig.live.reload().removed == ()


def test_last_stream_may_go_from_a_running_daemon(rig: Rig) -> None:
    assert rig.edits.remove("lobby", persist=False).removed == ("lobby",)
    assert (rig.ids, rig.node.committed) == ([], [[]])


def test_changes_are_refused_when_the_daemon_stops(rig: Rig) -> None:
    rig.live.close()
    with pytest.raises(ConflictError, match="the daemon is stopping; try again when it runs"):
        rig.live.reload()


def test_only_a_reload_retries_logins(rig: Rig) -> None:
    """Even if it changes nothing. Cameras lock accounts, and there may be hundreds of edits."""
    rig.live.reload_folder()
    rig.edits.add({"id": "new", "url": "rtsp://cam/new"}, persist=False)
    assert rig.node.retries == 0
    rig.live.reload()
    rig.live.reload()
    assert rig.node.retries == 2


def test_reload_enters_its_context_and_other_changes_do_not(rig: Rig) -> None:
    told: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        told.append("begins")
        yield
        told.append("is over")

    rig.live.attach(rig.node, around)
    rig.live.close()
    with pytest.raises(
        ConflictError
    ):  # nor while it starts or stops: the end of a reload says that it is ready
        rig.live.reload()
    rig.live.open()
    rig.live.reload_folder()
    assert told == []
    rig.live.reload()
    assert told == ["begins", "is over"]
