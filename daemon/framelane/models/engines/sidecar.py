"""The .json next to an engine: what it was built from, its properties, and its checksum."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson
from pydantic import TypeAdapter, ValidationError

from framelane.core.errors import ModelError
from framelane.models.engines.key import KeyParts  # noqa: TC001 - pydantic looks the type up

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20
SUFFIX = ".engine"
SCHEMA = "framelane.engine/1"


@dataclass(frozen=True, slots=True)
class BindingNote:
    """An input or output; dynamic dimensions are -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_input: bool


@dataclass(frozen=True, slots=True)
class LayerNote:
    """A layer as TensorRT fused it."""

    name: str
    kind: str
    precision: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The description of an engine.

    Attributes:
        model: file name of the model.
        key: key of its parts.
        parts: what it was built from.
        bindings: inputs, then outputs.
        layers: TensorRT's layers.
        built_at: time of the build, in UTC.
        build_s: duration of the build in seconds.
        framelane: version that built it.
        workspace: most bytes of scratch memory that the builder could use.
        level: the builder's optimization level, if one was set.
        tactic_sources: where kernels could come from, if limited.
        size: bytes of the engine.
        sha256: of the engine.
        schema: name and version of this format.
    """

    model: str
    key: str
    parts: KeyParts
    bindings: tuple[BindingNote, ...]
    layers: tuple[LayerNote, ...]
    built_at: str
    build_s: float
    framelane: str
    workspace: int
    level: int | None
    tactic_sources: tuple[str, ...]
    size: int
    sha256: str
    schema: str = SCHEMA

    @staticmethod
    def read(path: Path) -> Sidecar:
        """Read and check a sidecar.

        Raises:
            ModelError: it can't be read, or its key does not match its parts.
        """
        try:
            sidecar = _ADAPTER.validate_json(path.read_bytes())
        except OSError as error:
            raise ModelError(f"{path} can't be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ModelError(f"{path} is not a sidecar of an engine: {where}: {first['msg']}") from error
        if sidecar.schema != SCHEMA:
            raise ModelError(f"{path} has the layout {sidecar.schema}; this version reads {SCHEMA}")
        if sidecar.key != sidecar.parts.key:
            raise ModelError(
                f"{path} says key {sidecar.key}, but its parts make {sidecar.parts.key}: it was changed"
            )
        return sidecar

    def dump(self) -> bytes:
        """Return the sidecar as JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n"

    def check_engine(self, path: Path) -> None:
        """Check that a file is the engine that this describes.

        Raises:
            ModelError: it is missing, cut short or another one.
        """
        try:
            size = path.stat().st_size
            same = size == self.size and file_sha256(path) == self.sha256
        except OSError as error:
            raise ModelError(f"{path} can't be read: {error.strerror}") from error
        if not same:
            raise ModelError(f"{path} is not the engine its sidecar describes ({size} bytes of {self.size})")


_ADAPTER: TypeAdapter[Sidecar] = TypeAdapter(Sidecar)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
