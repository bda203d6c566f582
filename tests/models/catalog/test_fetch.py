"""Fetching: the file has its name only when it is whole and right, and everything else says why."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from tests.models import tiny_models
from tests.models.catalog.file_server import CONTENT, SHA256, FileServer
from tests.small_disk import small_file_system
from tests.waiting import wait_until

from framelane.config.sections.model import ModelConfig
from framelane.inference.model import load_model
from framelane.models.catalog.download import Download
from framelane.models.catalog.entry import CatalogEntry
from framelane.models.catalog.errors import FetchError
from framelane.models.catalog.fetch import Fetched, fetch
from framelane.models.catalog.partial_file import PartialFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entry_for(url: str, content: bytes = CONTENT, **more: Any) -> CatalogEntry:
    known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "license": "Apache-2.0"}
    return CatalogEntry.model_validate({"file": "m.onnx", "url": url, **known, **more})


def get(entry: CatalogEntry, folder: Path, *, force: bool = False) -> Fetched:
    download = Download(entry.url, entry.size, lambda *_: None, lambda _: None)
    return fetch(entry, folder, download, force=force)


def error_of(entry: CatalogEntry, folder: Path) -> str:
    with pytest.raises(FetchError) as caught:
        get(entry, folder)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_fetched_file_stands_alone_under_its_name(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "models"
    fetched = get(entry_for(server.url), folder)
    assert (fetched.path, fetched.was_there) == (folder / "m.onnx", False)
    assert fetched.path.read_bytes() == CONTENT
    assert names(folder) == ["m.onnx"]


def test_the_name_appears_only_when_the_file_is_whole(server: FileServer, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    server.does.on_chunk = lambda: seen.append(names(tmp_path))
    get(entry_for(server.url), tmp_path)
    assert len(seen) == len(CONTENT) // 4096
    assert all("m.onnx" not in each for each in seen)


def test_a_file_that_is_there_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    entry = entry_for(server.url)
    get(entry, tmp_path)
    server.asked.clear()
    assert get(entry, tmp_path).was_there
    assert server.asked == []


def test_another_file_of_that_name_is_replaced_only_by_force(server: FileServer, tmp_path: Path) -> None:
    mine = b"my own model"
    (tmp_path / "m.onnx").write_bytes(mine)
    entry = entry_for(server.url)
    assert error_of(entry, tmp_path) == (
        f"{tmp_path}/m.onnx is another file than the catalog's (SHA-256 {hashlib.sha256(mine).hexdigest()}, "
        f"not {SHA256}); move it away, or replace it with --force"
    )
    assert (tmp_path / "m.onnx").read_bytes() == mine
    get(entry, tmp_path, force=True)
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT


def test_the_old_file_stays_if_the_forced_download_fails(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"my own model")
    server.does.content = CONTENT[::-1]
    with pytest.raises(FetchError):
        get(entry_for(server.url), tmp_path, force=True)
    assert names(tmp_path) == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_bytes() == b"my own model"


def test_a_file_with_another_hash_is_not_kept(server: FileServer, tmp_path: Path) -> None:
    server.does.content = CONTENT[:-1] + b"x"
    found = hashlib.sha256(server.does.content).hexdigest()
    assert error_of(entry_for(server.url), tmp_path) == (
        f"{server.url} is not the file of the catalog: its SHA-256 is {found}, not {SHA256}; "
        "nothing was kept. Do not use that file before you know why it differs"
    )
    assert names(tmp_path) == []
    assert len(server.asked) == 1


def test_a_joined_file_with_another_hash_is_fetched_whole_once(server: FileServer, tmp_path: Path) -> None:
    """A crash may lose bytes that the file system had promised; the end of the file is then right, and not the rest."""
    with PartialFile(tmp_path / "m.onnx", SHA256) as part:
        part.restart('"1"')
        part.write(b"\0" * 100_000)
    assert get(entry_for(server.url), tmp_path).path.read_bytes() == CONTENT
    assert [asked.headers.get("range") for asked in server.asked] == ["bytes=100000-", None]


def test_one_process_at_a_time_fetches_a_file(server: FileServer, tmp_path: Path) -> None:
    with PartialFile(tmp_path / "m.onnx", SHA256):
        message = error_of(entry_for(server.url), tmp_path)
    assert message == f"another process is downloading {tmp_path}/m.onnx; wait for it"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    with small_file_system(tmp_path / "disk", "512k") as folder:
        yield folder


def test_a_disk_that_is_too_small_is_found_before_the_download(server: FileServer, small_disk: Path) -> None:
    content = CONTENT * 4
    message = error_of(entry_for(server.url, content), small_disk)
    assert re.fullmatch(
        f"no room for {small_disk}/m.onnx: 1048576 bytes are missing and 5[0-9]+ free; "
        "free some space, or choose another folder with --folder",
        message,
    )
    assert (server.asked, names(small_disk)) == ([], [])


def test_a_disk_that_fills_up_meanwhile_gets_its_space_back(server: FileServer, small_disk: Path) -> None:
    def fill() -> None:
        with suppress(OSError), (small_disk / "other").open("ab") as other:
            other.write(bytes(8192))

    server.does.on_chunk = fill
    assert error_of(entry_for(server.url), small_disk) == (
        f"no room for {small_disk}/m.onnx: No space left on device; "
        "free some space, or choose another folder with --folder"
    )
    assert names(small_disk) == ["other"]


@pytest.mark.parametrize(("make", "message"), [
    (lambda folder: folder.write_text(""), "can't write {folder}: File exists"),
    (lambda folder: (folder / "m.onnx").mkdir(parents=True), "can't write {folder}/m.onnx: Is a directory"),
])  # fmt: skip
def test_a_folder_that_cannot_be_written_to_is_named(
    server: FileServer, tmp_path: Path, make: Any, message: str
) -> None:
    folder = tmp_path / "models"
    make(folder)
    assert error_of(entry_for(server.url), folder) == message.format(folder=folder)


def test_the_daemon_loads_what_was_fetched_with_the_section_that_it_returns(
    server: FileServer, tmp_path: Path
) -> None:
    box = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
    content = tiny_models.save(tmp_path / "made.onnx", [tiny_models.yolov8([box])]).read_bytes()
    server.does.content = content
    settings = {"labels": ["cat", "dog", "hen"], "size": ["160", "128"], "confidence": "0.3"}
    fetched = get(entry_for(server.url, content, settings=settings), tmp_path / "models")
    assert fetched.section["labels"] == str(tmp_path / "models" / "m.labels.txt")
    model = load_model("m", ModelConfig.model_validate({**fetched.section, "backend": "onnxruntime"}))
    assert (model.info.labels, model.confidence) == (("cat", "dog", "hen"), 0.3)
    model.close()


@contextmanager
def starlette(folder: Path) -> Iterator[str]:
    """Starlette's own file server, whose Range and If-Range are not ours."""
    app = FastAPI()
    app.mount("/", StaticFiles(directory=folder))
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_until(lambda: running.started, "the server has not started")
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


def test_resuming_works_with_a_server_that_is_not_ours(tmp_path: Path) -> None:
    www, models = tmp_path / "www", tmp_path / "models"
    www.mkdir()
    models.mkdir()
    (www / "m.onnx").write_bytes(CONTENT)
    with starlette(www) as root:
        url = f"{root}/m.onnx"
        told: list[int] = []

        class EnoughError(Exception):
            """Stands for Ctrl-C."""

        def tell(done: int, _total: int) -> None:
            told.append(done)
            if len(told) == 2:
                raise EnoughError

        entry = entry_for(url)
        with pytest.raises(EnoughError):
            fetch(entry, models, Download(url, entry.size, tell, lambda _: None), force=False)
        assert 0 < told[-1] < len(CONTENT)
        assert names(models) == ["m.onnx.part", "m.onnx.part.json"]
        more: list[int] = []
        go_on = Download(url, entry.size, lambda done, _: more.append(done), lambda _: None)
        assert fetch(entry, models, go_on, force=False).path.read_bytes() == CONTENT
        assert more[0] > told[-1]
        assert names(models) == ["m.onnx"]
