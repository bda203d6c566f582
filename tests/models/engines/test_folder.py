"""Engines on disk: sidecars, whole writes, one builder at a time, and which engine is taken."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.models.engines.examples import PARTS, SIZE, parts, store

from framelane.core.errors import ModelError
from framelane.models.engines import folder as folders
from framelane.models.engines.key import DeviceFacts
from framelane.models.engines.profiles import Profile

if TYPE_CHECKING:
    from pathlib import Path


def test_the_exact_engine_is_taken_before_a_wider_one(tmp_path: Path) -> None:
    wider = store(tmp_path, parts(profile=Profile((1, 8, 64), SIZE)))
    assert folders.find(tmp_path, "m", PARTS).engine == wider
    exact = store(tmp_path, PARTS)
    assert folders.find(tmp_path, "m", PARTS).engine == exact


def test_the_nearest_other_engine_is_named_by_what_differs(tmp_path: Path) -> None:
    store(tmp_path, parts(tensorrt="8.6.1", gpu="NVIDIA L4", capability=(8, 9)))
    nearest = store(tmp_path, parts(tensorrt="8.6.1"))
    search = folders.find(tmp_path, "m", PARTS)
    assert search.engine is None
    assert search.differs(PARTS) == f"TensorRT 8.6.1 -> 8.5.3.1 ({nearest.path.name})"


def test_an_engine_that_is_not_its_sidecars_is_never_taken(tmp_path: Path) -> None:
    engine = store(tmp_path, PARTS)
    engine.path.write_bytes(b"engin")
    with capture_logs() as logged:
        assert folders.find(tmp_path, "m", PARTS).engine is None
    assert [line["event"] for line in logged] == ["engine_file_refused"]
    assert "5 bytes of 6" in logged[0]["text"]


def test_names_with_wild_cards_and_other_models_don_t_mix(tmp_path: Path) -> None:
    store(tmp_path, PARTS)
    assert folders.find(tmp_path, "*", PARTS).engine is None
    assert folders.find(tmp_path, "n", PARTS).engine is None


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.engine"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match=r"m\.engine can't be written: No space left on device"):
        folders.write(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("m.engine", b"old")]


def test_the_timing_cache_is_named_after_gpu_and_version(tmp_path: Path) -> None:
    path = folders.timing_path(tmp_path, DeviceFacts("NVIDIA H100 80GB HBM3", (9, 0)), "8.5.3.1")
    assert path.name == "NVIDIA-H100-80GB-HBM3-8.5.3.1.timing"


def test_one_process_builds_while_the_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=build_once, args=(tmp_path,)) for _ in range(2)]
    for process in others:
        process.start()
    for process in others:
        process.join(60)
    assert [process.exitcode for process in others] == [0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"


def build_once(folder: Path) -> None:
    """As a worker process does: look, lock, look again, build."""
    with folders.building(folder):
        if folders.find(folder, "m", PARTS).engine is None:
            time.sleep(0.5)
            store(folder, PARTS)
            with (folder / "builds").open("a") as file:
                file.write("built\n")


def test_a_folder_that_can_t_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="can't be written to"), folders.building(tmp_path / "file"):
        pass
