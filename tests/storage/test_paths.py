from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.storage.paths import set_aside

if TYPE_CHECKING:
    from pathlib import Path


def test_set_aside_keeps_the_newest_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "main.spool"
    for content in ("old", "new"):
        path.write_text(content)
        if content == "old":
            path.with_name("main.spool-wal").write_text("old log")
        assert set_aside(path) == tmp_path / "main.spool.corrupt"
    assert [each.name for each in tmp_path.iterdir()] == ["main.spool.corrupt"]
    assert (tmp_path / "main.spool.corrupt").read_text() == "new"
