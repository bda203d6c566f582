"""The thread that reloads on request and when files of the folder change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from structlog.testing import capture_logs
from tests.waiting import wait_until

from framelane.control.reloader import Reloader

if TYPE_CHECKING:
    from tests.control.conftest import Rig

WAIT_S = 30.0


def test_folder_is_read_when_it_has_changed_and_a_bad_file_keeps_all_as_it_was(rig: Rig) -> None:
    folder = rig.main.parent / "streams.d"
    watch = Reloader(rig.live, rig.folder, poll_s=0.02)
    watch.start()
    (folder / "a.yaml").write_text("id: a\nurl: rtsp://h\n")
    wait_until(lambda: rig.ids == ["lobby", "a"])
    (folder / "a.yaml").write_text("id: a\nulr: rtsp://h\n")
    (folder / "b.yaml").write_text("id: b\nurl: rtsp://h\n")
    time.sleep(0.2)
    assert rig.ids == ["lobby", "a"]
    (folder / "a.yaml").unlink()
    wait_until(lambda: rig.ids == ["lobby", "b"])
    assert watch.stop(WAIT_S)


def test_refused_change_is_retried_and_logged_once(rig: Rig) -> None:
    """A secret may appear after the stream that needs it, without a change in the folder."""
    secret = rig.main.parent / "secret"
    watch = Reloader(rig.live, rig.folder, poll_s=0.02, retry_s=0.05)
    rig.live._environ = {"NAME_FILE": str(secret)}
    with capture_logs() as logs:
        watch.start()
        (rig.main.parent / "streams.d/a.yaml").write_text('id: a\nurl: "rtsp://u:${NAME}@h"\n')
        time.sleep(0.5)
        assert rig.ids == ["lobby"]
        secret.write_text("hunter3hunter3")
        wait_until(lambda: rig.ids == ["lobby", "a"])
        assert watch.stop(WAIT_S)
    assert len(rig.node.prepared) == 1
    assert [log["event"] for log in logs] == ["config_refused", "config_applied"]


def test_request_is_answered_without_a_poll_and_a_bad_file_is_survived(rig: Rig) -> None:
    good = rig.main.read_text()
    watch = Reloader(rig.live, None, poll_s=WAIT_S)
    watch.start()
    with capture_logs() as logs:
        rig.main.write_text("nonsense: [")
        watch.request()
        wait_until(lambda: [log["event"] for log in logs] == ["config_refused"])
        rig.main.write_text(good.replace("id: lobby", "id: hall"))
        watch.request()
        wait_until(lambda: rig.ids == ["hall"])
    assert watch.stop(WAIT_S)
