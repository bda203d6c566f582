"""Triggers of a change: the control socket, a signal, and polling the folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.control.reload_socket import ask_to_reload
from framelane.control.triggers import ConfigTriggers
from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.control.conftest import Rig

WAIT_S = 30.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir()
    return {"RUNTIME_DIRECTORY": str(tmp_path / "run")}


@pytest.fixture
def triggers(rig: Rig, environ: dict[str, str]) -> Iterator[ConfigTriggers]:
    made = ConfigTriggers(rig.live, rig.folder, environ)
    made.start()
    yield made
    made.stop()


def test_request_reads_the_files_again_and_a_bad_one_is_survived(rig: Rig, triggers: ConfigTriggers) -> None:
    good = rig.main.read_text()
    rig.main.write_text("nonsense: [")
    triggers.request_reload()
    time.sleep(0.2)
    rig.main.write_text(good.replace("id: lobby", "id: hall"))
    triggers.request_reload()
    wait_until(lambda: rig.ids == ["hall"])


def test_changes_are_taken_from_the_start_to_the_stop(rig: Rig, environ: dict[str, str]) -> None:
    triggers = ConfigTriggers(rig.live, rig.folder, environ)
    with pytest.raises(FramelaneError, match="no daemon of this user runs"):
        ask_to_reload(rig.main, environ)
    triggers.start()
    assert ask_to_reload(rig.main, environ)["exit_code"] == 0
    triggers.stop()
    with pytest.raises(FramelaneError, match="no daemon of this user runs"):
        ask_to_reload(rig.main, environ)
