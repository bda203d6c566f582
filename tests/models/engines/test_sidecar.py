"""The description beside an engine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.models.engines.examples import PARTS, store

from framelane.core.errors import ModelError
from framelane.models.engines.folder import sidecar_path
from framelane.models.engines.sidecar import Sidecar, file_sha256

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sidecar_is_read_as_it_was_written(tmp_path: Path) -> None:
    engine = store(tmp_path, PARTS)
    assert Sidecar.read(sidecar_path(engine.path)) == engine.sidecar


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "000000000000"}, f"says key 000000000000, but its parts make {PARTS.key}: it was changed"),
        (
            {"schema": "framelane.engine/9"},
            "has the layout framelane.engine/9; this version reads framelane.engine/1",
        ),
        ({"size": "large"}, "is not a sidecar of an engine: size: Input should be a valid integer"),
        ({"parts": None}, "is not a sidecar of an engine: parts: Input should be"),
    ],
)
def test_a_bad_sidecar_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = sidecar_path(store(tmp_path, PARTS).path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError) as raised:
        Sidecar.read(path)
    assert str(raised.value).startswith(f"{path} {message}")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_file_that_is_no_sidecar_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.json is not a sidecar of an engine: "):
        Sidecar.read(path)


def test_a_missing_sidecar_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        Sidecar.read(tmp_path / "m.json")
    assert str(raised.value) == f"{tmp_path}/m.json can't be read: No such file or directory"


def test_dump_is_json_of_one_key_per_line(tmp_path: Path) -> None:
    text = store(tmp_path, PARTS).sidecar.dump().decode()
    assert text.startswith('{\n  "model": "m.onnx",\n  "key": ')
    assert text.endswith('  "schema": "framelane.engine/1"\n}\n')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"engine", None),
        (b"engin", "is not the engine its sidecar describes (5 bytes of 6)"),
        (b"enginE", "is not the engine its sidecar describes (6 bytes of 6)"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_check_engine_refuses_another_file(
    tmp_path: Path, content: bytes | None, message: str | None
) -> None:
    engine = store(tmp_path, PARTS)
    if content is None:
        engine.path.unlink()
    else:
        engine.path.write_bytes(content)
    if message is None:
        engine.sidecar.check_engine(engine.path)
        return
    with pytest.raises(ModelError) as raised:
        engine.sidecar.check_engine(engine.path)
    assert f"{engine.path} {message}" == str(raised.value)


@pytest.mark.parametrize("size", [0, 1 << 20, (1 << 20) + 1])
def test_file_sha256_is_that_of_sha256sum(tmp_path: Path, size: int) -> None:
    path = tmp_path / "m.engine"
    path.write_bytes(b"e" * size)
    assert hashlib.sha256(b"e" * size).hexdigest() == file_sha256(path)
