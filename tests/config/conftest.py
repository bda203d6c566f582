"""A folder with the files of a good configuration, and an empty registry of secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.core.redact import forget_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINIMAL = """
mqtt: {url: "mqtt://127.0.0.1"}
models:
  yolox: {path: m.onnx}
streams:
  - {id: lobby, url: "rtsp://10.0.0.7/1"}
"""


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a model, labels, PEM files and secrets."""
    for name in ("m.onnx", "ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    (tmp_path / "labels.txt").write_text("person\ncar\n")
    (tmp_path / "secret").write_text("hunter2hunter2\n")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    return tmp_path


@pytest.fixture
def minimal() -> str:
    return MINIMAL
