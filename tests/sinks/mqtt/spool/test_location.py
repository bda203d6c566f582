from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.sections.spool import SpoolConfig
from framelane.sinks.mqtt.spool.location import SpoolLocation, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/framelane"}, "/var/lib/framelane/spool/gate-01/main.spool"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a/spool/gate-01/main.spool"),
        ({"XDG_STATE_HOME": "/home/me/state"}, "/home/me/state/framelane/spool/gate-01/main.spool"),
        ({}, str(Path("~/.local/state/framelane/spool/gate-01/main.spool").expanduser())),
    ],
)
def test_place_is_where_state_belongs(environ: Mapping[str, str], expected: str) -> None:
    place = place_of(SpoolConfig(), "gate-01", environ)
    assert place is not None
    assert expected == str(place.path)


def test_place_is_where_the_configuration_says() -> None:
    config = SpoolConfig(folder="/data/spools")
    place = place_of(config, "gate-01", {"STATE_DIRECTORY": "/var/lib/framelane"}, worker="w1")
    assert place is not None
    assert (str(place.path), place.adopts) == ("/data/spools/gate-01/w1.spool", False)


def test_there_is_no_place_when_spooling_is_off() -> None:
    assert place_of(SpoolConfig(enabled=False), "gate-01", {}) is None


def test_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    place = SpoolLocation(tmp_path / "state" / "gate-01")
    place.make()
    place.folder.chmod(0o755)
    place.make()
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("workers", "expected"),
    [({}, ["w0", "w1", "w2"]), ({"workers": lambda: {"w0", "w1"}}, ["w2"]), ({"worker": "w0"}, [])],
    ids=["alone", "parent", "worker"],
)
def test_orphans_are_the_spools_of_processes_that_there_are_no_more(
    tmp_path: Path, workers: dict[str, Any], expected: list[str]
) -> None:
    place = place_of(SpoolConfig(folder=str(tmp_path)), "gate-01", {}, **workers)
    assert place is not None
    place.make()
    for name in ("main.spool", "w0.spool", "w1.spool", "w2.spool", "w2.spool-wal", "w3.spool.corrupt"):
        (place.folder / name).touch()
    (tmp_path / "gate-02").mkdir()
    (tmp_path / "gate-02" / "w7.spool").touch()
    assert expected == [path.stem for path in place.orphans()]
