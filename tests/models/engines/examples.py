"""Key parts, sidecars and pictures for the tests of engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from framelane.models.engines.folder import EngineFile, engine_path, sidecar_path, write
from framelane.models.engines.key import KeyParts
from framelane.models.engines.profiles import Profile
from framelane.models.engines.sidecar import BindingNote, LayerNote, Sidecar, file_sha256

if TYPE_CHECKING:
    from pathlib import Path

SIZE = ((416, 416), (416, 416), (416, 416))
PROFILE = Profile((1, 16, 16), SIZE)
PARTS = KeyParts("ab" * 32, "8.5.3.1", "NVIDIA H200", (9, 0), "fp16", PROFILE, None)


def parts(**changes: Any) -> KeyParts:
    return replace(PARTS, **changes)


def store(folder: Path, made_of: KeyParts, content: bytes = b"engine") -> EngineFile:
    """An engine and its sidecar in a folder."""
    path = engine_path(folder, "m", made_of.key)
    write(path, content)
    sidecar = Sidecar(
        model="m.onnx",
        key=made_of.key,
        parts=made_of,
        bindings=(BindingNote("images", "float16", (-1, 3, 416, 416), is_input=True),),
        layers=(LayerNote("Conv_0", "CaskConvolution", "fp16"),),
        built_at="2026-11-23T23:00:00+00:00",
        build_s=12.5,
        framelane="0.1.0",
        workspace=1 << 30,
        level=None,
        tactic_sources=(),
        size=len(content),
        sha256=file_sha256(path),
    )
    write(sidecar_path(path), sidecar.dump())
    return EngineFile(path, sidecar)


def fill_with_pictures(folder: Path, count: int, size_wh: tuple[int, int] = (64, 48)) -> Path:
    """Blurred noise as PNG files."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(count):
        noise = random.integers(0, 256, (size_wh[1] // 8, size_wh[0] // 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index:03}.png"), cv2.resize(noise, size_wh))
    return folder
