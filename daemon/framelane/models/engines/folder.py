"""The engines folder: finds engines by their sidecars, writes atomically, and allows one build at a time."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from framelane.core.errors import ModelError
from framelane.core.folders import sync_folder
from framelane.models.engines.sidecar import SUFFIX, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.models.engines.key import DeviceFacts, KeyParts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EngineFile:
    """An engine on disk and its sidecar."""

    path: Path
    sidecar: Sidecar


@dataclass(frozen=True, slots=True)
class Search:
    """What a folder holds for a model.

    Attributes:
        engine: one that may be used, or None.
        others: the model's other engines, those that differ least first.
    """

    engine: EngineFile | None
    others: tuple[EngineFile, ...]

    def differs(self, wanted: KeyParts) -> str:
        """Return why the nearest other engine can't be used; empty if there is none."""
        if not self.others:
            return ""
        nearest = self.others[0]
        return f"{', '.join(nearest.sidecar.parts.differences(wanted))} ({nearest.path.name})"


def find(folder: Path, model: str, wanted: KeyParts) -> Search:
    """Look for an engine: the exact one, or one with a wider profile.

    Its file is checked against its sidecar.

    Args:
        folder: the engines folder.
        model: the model's file name without extension.
        wanted: the key parts that it must have.
    """
    engines = known(folder, model)
    fitting = [engine for engine in engines if engine.sidecar.parts.serves(wanted)]
    others = [engine for engine in engines if not engine.sidecar.parts.serves(wanted)]
    others.sort(key=lambda each: len(each.sidecar.parts.differences(wanted)))
    for engine in sorted(fitting, key=lambda each: each.sidecar.key != wanted.key):
        try:
            engine.sidecar.check_engine(engine.path)
        except ModelError as error:
            log.warning("engine_file_refused", text=str(error))
        else:
            return Search(engine, tuple(others))
    return Search(None, tuple(others))


def known(folder: Path, model: str) -> list[EngineFile]:
    """Return all engines of a model with a readable sidecar; the engine files themselves are not read."""
    paths = sorted(folder.glob(f"{_escaped(model)}-*{SUFFIX}.json"))
    return [engine for path in paths if (engine := _read(path)) is not None]


def engine_path(folder: Path, model: str, key: str) -> Path:
    """Return where an engine belongs."""
    return folder / f"{model}-{key}{SUFFIX}"


def sidecar_path(engine: Path) -> Path:
    """Return where an engine's sidecar belongs."""
    return engine.with_name(f"{engine.name}.json")


def timing_path(folder: Path, device: DeviceFacts, tensorrt: str) -> Path:
    """Return where the builder's timing cache for a GPU and a TensorRT version belongs."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", device.name).strip("-")
    return folder / f"{plain}-{tensorrt}.timing"


def write(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        ModelError: it can't be written.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101 - a str, and mkstemp made it for us alone
        os.replace(temporary, path)  # noqa: PTH105 - likewise
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise ModelError(f"{path} can't be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - likewise


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """Run the block in one process at a time: two builds on one GPU would distort each other's timings.

    Raises:
        ModelError: the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise ModelError(f"the engines' folder {folder} can't be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("engine_wait", folder=str(folder), reason="another process builds an engine here")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> EngineFile | None:
    try:
        return EngineFile(path.with_name(path.name.removesuffix(".json")), Sidecar.read(path))
    except ModelError as error:
        log.warning("engine_sidecar_refused", text=str(error))
        return None


def _escaped(model: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", model)
