"""A file that is being downloaded: what survives an interruption, and when it gets its name."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.small_disk import fill_up

from framelane.models.catalog.errors import FetchError
from framelane.models.catalog.partial_file import Origin, PartialFile

if TYPE_CHECKING:
    from pathlib import Path

SHA256, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def left_behind(target: Path, data: bytes = b"first half", validator: str = '"1"') -> PartialFile:
    """What an interrupted run leaves."""
    with PartialFile(target, SHA256) as part:
        part.restart(validator)
        part.write(data)
    return part


def test_file_gets_its_name_when_it_is_whole_and_not_before(target: Path) -> None:
    with PartialFile(target, SHA256) as part:
        part.write(b"first half, ")
        part.write(b"second half")
        assert (part.length, target.exists()) == (23, False)
        part.publish()
    assert target.read_bytes() == b"first half, second half"
    assert [each.name for each in target.parent.iterdir()] == ["m.onnx"]


def test_interrupted_download_is_taken_up_again(target: Path) -> None:
    left_behind(target)
    with PartialFile(target, SHA256) as part:
        assert (part.length, part.origin) == (10, Origin(SHA256, '"1"'))
        part.write(b", second half")
    assert part.path.read_bytes() == b"first half, second half"


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        orjson.dumps({"sha256": OTHER, "validator": '"1"'}),
    ],
    ids=["none", "empty", "no JSON", "no map", "no hash", "another file's"],
)
def test_bytes_of_which_nothing_is_known_are_thrown_away(target: Path, note: bytes | None) -> None:
    part = left_behind(target)
    path = part.path.with_name("m.onnx.part.json")
    if note is None:
        path.unlink()
    else:
        path.write_bytes(note)
    with PartialFile(target, SHA256) as again:
        assert (again.length, again.origin, again.path.read_bytes()) == (0, Origin(SHA256), b"")


def test_download_that_got_nothing_leaves_nothing(target: Path) -> None:
    with pytest.raises(ZeroDivisionError), PartialFile(target, SHA256):
        raise ZeroDivisionError
    assert list(target.parent.iterdir()) == []


def test_two_processes_do_not_write_the_same_file(target: Path) -> None:
    with PartialFile(target, SHA256) as part:
        part.write(b"mine")
        with pytest.raises(FetchError, match=f"another process is downloading {target}; wait for it"):
            PartialFile(target, SHA256).open()
        part.write(b"!")
    assert part.path.read_bytes() == b"mine!"


def test_full_disk_gets_its_space_back_and_the_remedy_is_named(disk: Path) -> None:
    target = disk / "m.onnx"
    with PartialFile(target, SHA256) as part:
        part.write(b"x" * 1000)
        fill_up(disk / "ballast")
        with pytest.raises(FetchError, match="free some space, or choose another folder with --folder"):
            part.write(b"x" * (8 << 20))
    assert not part.path.exists()


def test_other_faults_of_the_disk_keep_what_has_come(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PartialFile(target, SHA256) as part:
        part.write(b"first half")

        class Broken:
            def write(self, _data: Any) -> int:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            def close(self) -> None:
                """Nothing is open."""

        real = part._file
        monkeypatch.setattr(part, "_file", Broken())
        with pytest.raises(OSError, match="Input/output error"):
            part.write(b", second half")
        monkeypatch.setattr(part, "_file", real)
    assert part.path.read_bytes() == b"first half"
