"""Files in `streams_dir` are written atomically, private and marked; changes by others are noticed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from framelane.control.stream_folder import MARK, StreamFolder
from framelane.core.errors import NotStoredError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> StreamFolder:
    return StreamFolder(tmp_path / "streams.d")


def test_file_is_private_whole_and_ours(folder: StreamFolder) -> None:
    before = os.umask(0)
    try:
        folder.write("a", f"{MARK}id: a\n")
        folder.write("a", f"{MARK}id: b\n")
    finally:
        os.umask(before)
    file = folder.file_of("a")
    assert (file.read_text(), file.stat().st_mode & 0o777) == (f"{MARK}id: b\n", 0o600)
    assert folder.owns(file)
    assert [each.name for each in file.parent.iterdir()] == ["a.yaml"]
    folder.delete("a")
    folder.delete("a")
    assert not file.exists()


def test_link_in_the_way_is_not_followed(folder: StreamFolder, tmp_path: Path) -> None:
    folder.write("a", MARK)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    folder.file_of("a").with_name(".a.yaml.new").symlink_to(victim)
    with pytest.raises(NotStoredError, match="can't be changed"):
        folder.write("a", f"{MARK}new")
    assert victim.read_text() == "untouched"


def test_own_changes_are_ignored_and_those_of_others_reported_once_stable(folder: StreamFolder) -> None:
    folder.write("a", MARK)
    folder.delete("a")
    folder.write("b", MARK)
    assert [folder.changed(), folder.changed()] == [False, False]
    other = folder.file_of("other")
    other.write_text("id: o")
    assert not folder.changed()  # it may be half written
    other.write_text("id: other")
    assert not folder.changed()
    folder.write("c", MARK)
    assert not folder.changed()
    assert folder.changed()
    assert not folder.changed()
