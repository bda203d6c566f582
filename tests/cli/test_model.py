"""`framelane model`: what list, fetch and inspect print, and their exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.models import tiny_models
from tests.models.catalog.file_server import FileServer
from tests.models.catalog.test_catalog import NAMES
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    made = tiny_models.save(tmp_path / "made.onnx", [tiny_models.yolov8([BOX])])
    content = made.read_bytes()
    made.unlink()
    return content


@pytest.fixture
def server(content: bytes) -> Iterator[FileServer]:
    with FileServer(content) as running:
        yield running


@pytest.fixture
def catalog(tmp_path: Path, server: FileServer, content: bytes) -> Path:
    entry: dict[str, Any] = {
        "file": "tiny.onnx",
        "url": server.url,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "license": "MIT",
        "about": "three classes",
        "settings": {"labels": ["person", "bicycle", "car"]},
    }
    file = tmp_path / "catalog.yaml"
    file.write_text(yaml.safe_dump({"tiny": entry}))
    return file


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120"}


def framelane(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framelane", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_list_shows_names_licenses_sizes_and_what_is_there(tmp_path: Path, catalog: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.onnx").touch()
    ended = framelane(tmp_path, "model", "list", "--catalog", "catalog.yaml")
    assert ended.returncode == 0, ended.stderr
    rows = [line.split() for line in ended.stdout.splitlines() if "MB" in line]
    assert [row[0] for row in rows] == [*NAMES, "tiny"]
    assert rows[0][1:5] == ["Apache-2.0", "3.7", "MB", "no"]
    assert rows[-1][4] == "yes"
    ended = framelane(tmp_path, "model", "list", "--json")
    listed = json.loads(ended.stdout)
    assert [(each["name"], each["there"]) for each in listed] == [(name, False) for name in NAMES]
    assert listed[0]["sha256"] == "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"


def test_fetch_prints_yaml_that_passes_the_check(tmp_path: Path, catalog: Path) -> None:
    ended = framelane(tmp_path, "model", "fetch", "tiny", "--catalog", "catalog.yaml")
    assert ended.returncode == 0, ended.stderr
    assert "license MIT" in ended.stderr
    assert "models/tiny.onnx: fetched" in ended.stderr
    section = yaml.safe_load(ended.stdout)
    assert section == {"models": {"tiny": {"path": "models/tiny.onnx", "labels": "models/tiny.labels.txt"}}}
    rest = "jsonl: {path: '-'}\nstreams: [{id: a, url: 'rtsp://127.0.0.1/a', classes: [bicycle]}]\n"
    (tmp_path / "site.yaml").write_text(ended.stdout + rest)
    checked = framelane(tmp_path, "check", "site.yaml")
    assert (checked.returncode, checked.stdout) == (0, "site.yaml: ok\n"), checked.stderr
    again = framelane(tmp_path, "model", "fetch", "tiny", "--catalog", "catalog.yaml")
    assert (again.returncode, again.stdout) == (0, ended.stdout)
    assert "models/tiny.onnx: was there" in again.stderr


def test_fetch_shows_a_bar_on_a_terminal(tmp_path: Path, catalog: Path) -> None:
    main, other = pty.openpty()
    command = [sys.executable, "-m", "framelane", "model", "fetch", "tiny", "--catalog", "catalog.yaml"]
    shown = {**environment(), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=tmp_path, env=shown, stdout=subprocess.PIPE, stderr=other) as running:
        os.close(other)
        seen = b""
        while True:
            try:
                chunk = os.read(main, 4096)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        assert running.wait(60) == 0
    os.close(main)
    assert b"tiny.onnx" in seen
    assert "━".encode() in seen


def test_fetch_goes_on_after_a_kill(
    tmp_path: Path, server: FileServer, catalog: Path, content: bytes
) -> None:
    killed = threading.Event()
    server.does.on_chunk = lambda: (killed.wait(60), None)[1]
    command = [sys.executable, "-m", "framelane", "model", "fetch", "tiny", "--catalog", "catalog.yaml"]
    part = tmp_path / "models" / "tiny.onnx.part"
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL) as running:
        wait_until(lambda: part.is_file() and part.stat().st_size > 0, "no byte has come", 60.0)
        running.kill()
    killed.set()
    kept = part.stat().st_size
    assert 0 < kept < len(content)
    assert not (tmp_path / "models" / "tiny.onnx").exists()
    assert framelane(tmp_path, "model", "fetch", "tiny", "--catalog", "catalog.yaml").returncode == 0
    assert server.asked[-1].headers["range"] == f"bytes={kept}-"
    assert (tmp_path / "models" / "tiny.onnx").read_bytes() == content


def test_fetch_ends_with_1_and_a_sentence_if_the_download_fails(
    tmp_path: Path, server: FileServer, catalog: Path, content: bytes
) -> None:
    server.does.content = content[:-1] + b"x"
    ended = framelane(tmp_path, "model", "fetch", "tiny", "--catalog", "catalog.yaml")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is not the file of the catalog" in ended.stderr
    assert list((tmp_path / "models").iterdir()) == []


def test_fetch_ends_with_2_if_the_name_or_the_catalog_is_wrong(tmp_path: Path, catalog: Path) -> None:
    ended = framelane(tmp_path, "model", "fetch", "yolox-nano2")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "framelane: unknown model `yolox-nano2`; did you mean `yolox-nano`?; see `framelane model list`\n"
    )
    catalog.write_text(catalog.read_text().replace("license: MIT", "license: []"))
    ended = framelane(tmp_path, "model", "fetch", "tiny", "--catalog", "catalog.yaml")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "catalog.yaml:4: tiny.license: has a wrong value" in ended.stderr


def test_inspect_shows_what_a_model_is(tmp_path: Path) -> None:
    ended = framelane(tmp_path, "model", "inspect", "demo")
    assert (ended.returncode, ended.stderr) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    assert facts["head"] == "yolov8, suppressed"
    assert facts["classes"] == "3: person, car, bicycle"
    assert facts["prepared"] == (
        "RGB, pixels x 0.00392157, letterbox 320x320 centered, padded with 114, float32"
    )
    assert facts["batch"] == "any; right up to 4 images, of 4 tried"
    assert "person" in facts["finds"]


def test_inspect_ends_with_3_after_showing_what_is_known(tmp_path: Path) -> None:
    tiny_models.save(tmp_path / "odd.onnx", [tiny_models.yolov8([BOX]) - 5], metadata=tiny_models.NAMES)
    ended = framelane(tmp_path, "model", "inspect", "odd.onnx")
    assert ended.returncode == 3
    assert "gives        output0 [1, 7, 420] for one image" in ended.stdout
    assert "yolov8         on output0: no: output0 [1, 7, 420] holds scores from" in ended.stdout
    assert ended.stderr.startswith("framelane: odd.onnx: output0 [1, 7, 420] holds scores from")
    ended = framelane(tmp_path, "model", "inspect", "odd.onnx", "--json")
    assert ended.returncode == 3
    found = json.loads(ended.stdout)
    assert ended.stderr == f"framelane: {found['error']}\n"
    assert (found["head"], found["shapes"]) == (None, {"output0": [1, 7, 420]})


@pytest.mark.parametrize(("options", "message"), [
    (["--size", "640"], "framelane: --size: List should have at least 2 items after validation, not 1\n"),
    (["--size", "axb"], "framelane: --size: Input should be a valid integer, unable to parse string as an integer\n"),
    (["--head", "yolov9"], "framelane: --head: Input should be "),
])  # fmt: skip
def test_inspect_names_a_wrong_option(tmp_path: Path, options: list[str], message: str) -> None:
    ended = framelane(tmp_path, "model", "inspect", "demo", *options)
    assert ended.returncode == 3
    assert ended.stderr.startswith(message)
