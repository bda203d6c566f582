"""Where compiled kernels are kept when the home folder can't be written."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from framelane.gpu import compute_cache
from framelane.gpu.compute_cache import choose_cache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def unwritable_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Root may write anywhere, so that the look itself is replaced; returns the folder for temporary files."""
    monkeypatch.setattr(compute_cache, "_writable", lambda _folder: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_CACHE_PATH", "kept for monkeypatch to restore")
    monkeypatch.delenv("CUDA_CACHE_PATH")
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    return tmp_path


def test_cache_is_the_drivers_own_when_the_home_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CUDA_CACHE_PATH", raising=False)
    choose_cache()
    assert "CUDA_CACHE_PATH" not in os.environ


def test_cache_stays_where_the_environment_says(
    unwritable_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_CACHE_PATH", "/somewhere")
    choose_cache()
    assert os.environ["CUDA_CACHE_PATH"] == "/somewhere"


def test_cache_goes_to_systemds_folder_when_there_is_one(
    unwritable_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{unwritable_home}:/other")
    choose_cache()
    assert os.environ["CUDA_CACHE_PATH"] == str(unwritable_home / "cuda")


def test_cache_is_a_private_temporary_folder_otherwise(unwritable_home: Path) -> None:
    choose_cache()
    folder = unwritable_home / f"framelane-cuda-{os.getuid()}"
    assert os.environ["CUDA_CACHE_PATH"] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_cache_is_none_when_the_temporary_folder_is_open_to_others(unwritable_home: Path) -> None:
    folder = unwritable_home / f"framelane-cuda-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    choose_cache()
    assert "CUDA_CACHE_PATH" not in os.environ


def test_cache_is_none_when_the_temporary_folder_is_a_link(unwritable_home: Path) -> None:
    (unwritable_home / "target").mkdir()
    (unwritable_home / f"framelane-cuda-{os.getuid()}").symlink_to(unwritable_home / "target")
    choose_cache()
    assert "CUDA_CACHE_PATH" not in os.environ


def test_cache_is_found_for_a_user_that_no_list_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As containers run with any uid: neither HOME nor an entry in /etc/passwd, so that `~` stays `~`."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setenv("CUDA_CACHE_PATH", "kept for monkeypatch to restore")
    monkeypatch.delenv("CUDA_CACHE_PATH")
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    choose_cache()
    assert os.environ["CUDA_CACHE_PATH"] == str(tmp_path / "cuda")
