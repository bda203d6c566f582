from __future__ import annotations

from typing import TYPE_CHECKING

import build_engines

if TYPE_CHECKING:
    from pathlib import Path


def test_an_engine_that_was_built_apart_comes_with_its_sidecar_and_its_timings(tmp_path: Path) -> None:
    folder, own = tmp_path / "engines", tmp_path / "engines/.model-fp16"
    folder.mkdir()
    (folder / "old-1.engine").write_bytes(b"old")
    (folder / "model-fp16.log").write_text("said")
    build_engines.seed(folder, own)
    assert sorted(path.name for path in own.iterdir()) == ["old-1.engine"]
    for name in ("new-2.engine", "new-2.engine.json", "gpu.timing", ".lock"):
        (own / name).write_bytes(b"new")
    build_engines.bring(own, folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    assert names == ["gpu.timing", "model-fp16.log", "new-2.engine", "new-2.engine.json", "old-1.engine"]
    assert (folder / "old-1.engine").read_bytes() == b"old"


def test_timings_take_the_place_of_those_that_know_less(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    (folder / "gpu.timing").write_bytes(b"some")
    slow, quick = folder / ".slow", folder / ".quick"
    for own in (slow, quick):
        build_engines.seed(folder, own)
    (slow / "gpu.timing").write_bytes(b"some and more")
    (quick / "gpu.timing").write_bytes(b"some too")
    for own in (slow, quick):
        build_engines.bring(own, folder)
    assert (folder / "gpu.timing").read_bytes() == b"some and more"
