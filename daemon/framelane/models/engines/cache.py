"""Finds or builds a model's engine for this GPU."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from framelane import __version__
from framelane.core.errors import ModelError
from framelane.core.systemd import extend_start
from framelane.gpu.trt import build as builder
from framelane.gpu.trt import inspect, versions
from framelane.models.engines.calibrate import calibration_pictures, digest_of
from framelane.models.engines.folder import (
    EngineFile,
    building,
    engine_path,
    find,
    sidecar_path,
    timing_path,
    write,
)
from framelane.models.engines.key import DeviceFacts, KeyParts, Precision, model_digest
from framelane.models.engines.plan import BATCH
from framelane.models.engines.precision import Calibration, input_spec, prepare
from framelane.models.engines.profiles import Profile, Three, parse_bytes
from framelane.models.engines.rules import version_for
from framelane.models.engines.sidecar import BindingNote, LayerNote, Sidecar, file_sha256
from framelane.models.sizing import size_wh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.model import ModelConfig
    from framelane.gpu.trt.progress import Tell
    from framelane.models.artifact import Artifact

__all__ = ["BuildOptions", "DeviceFacts", "EngineFile", "ensure_engine"]

log = structlog.get_logger(__name__)

_TELL_EVERY_S = 30.0
# The longest step of a build, which reports no progress in between.
_LONGEST_STEP_S = 600.0


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the command line may add to a model's section. Only the profile is part of the key.

    Attributes:
        profile: the shapes; None for the daemon's own.
        tactic_sources: where kernels may come from, by TensorRT's names; empty for its default.
        timing_cache: the builder's timing cache; None for the one in the engines folder.
        rebuild: build even if a suitable engine exists.
        tell: takes the progress; the log by default.
    """

    profile: Profile | None = None
    tactic_sources: tuple[str, ...] = ()
    timing_cache: Path | None = None
    rebuild: bool = False
    tell: Tell | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """One engine to find or build."""

    name: str
    config: ModelConfig
    artifact: Artifact
    device: DeviceFacts
    options: BuildOptions
    trt: Any
    parts: KeyParts
    pictures: Sequence[Path]

    @property
    def folder(self) -> Path:
        return Path(self.config.engine.folder)

    @property
    def stem(self) -> str:
        return self.artifact.path.stem


def ensure_engine(
    name: str,
    config: ModelConfig,
    artifact: Artifact,
    device: DeviceFacts,
    options: BuildOptions | None = None,
    trt: Any = None,  # noqa: ANN401 - the tensorrt module has no types
) -> EngineFile:
    """Return an engine file for the model, this GPU and this TensorRT; a device must be current.

    If an engine is missing or its key differs, it is built, which takes minutes. Other processes that need
    one wait in the meantime. Engines with other keys stay where they are and are never used.

    Args:
        name: the model's key in the configuration.
        config: its section.
        artifact: its file.
        device: the GPU.
        options: what the command line adds.
        trt: the tensorrt module; imported by default.

    Raises:
        ModelError: it can't be built, or the configuration forbids it.
    """
    order = _order(name, config, artifact, device, options or BuildOptions(), trt or versions.load())
    if order.options.rebuild:
        with building(order.folder):
            return _build(order)
    search = find(order.folder, order.stem, order.parts)
    if search.engine is not None:
        return _found(order, search.engine)
    if config.engine.build == "never":
        raise ModelError(_refusal(order, search.differs(order.parts)))
    with building(order.folder):
        search = find(order.folder, order.stem, order.parts)
        if search.engine is not None:
            return _found(order, search.engine)
        if search.others:
            log.warning(
                "engine_rebuild", model=name, differs=search.differs(order.parts), key=order.parts.key
            )
        return _build(order)


def wanted_profile(artifact: Artifact, config: ModelConfig) -> Profile:
    """Return the shapes that the daemon needs from an engine.

    Raises:
        ModelError: the file fixes another batch or size, or leaves the size open and no size is configured.
    """
    size = size_wh(artifact, config)
    return Profile(_batch(artifact, config), (size, size, size))


def _batch(artifact: Artifact, config: ModelConfig) -> Three:
    if artifact.batch is not None:
        return artifact.batch, artifact.batch, artifact.batch
    most = config.batch or BATCH
    return min(config.engine.min_batch, most), most, most


def _order(
    name: str,
    config: ModelConfig,
    artifact: Artifact,
    device: DeviceFacts,
    options: BuildOptions,
    trt: Any,  # noqa: ANN401
) -> _Order:
    precision: Precision = "fp16" if config.precision == "auto" else config.precision
    profile = options.profile or wanted_profile(artifact, config)
    _check_profile(artifact, profile)
    pictures: list[Path] = []
    if precision == "int8" and config.engine.calibration is not None:
        pictures = calibration_pictures(config.engine.calibration)
    parts = KeyParts(
        onnx=model_digest(artifact.path),
        tensorrt=str(trt.__version__),
        gpu=device.name,
        capability=device.capability,
        precision=precision,
        profile=profile,
        calibration=digest_of(pictures) if pictures else None,
        converter=version_for(artifact.path, precision),
    )
    return _Order(name, config, artifact, device, options, trt, parts, pictures)


def _check_profile(artifact: Artifact, profile: Profile) -> None:
    """Refuse a profile that contradicts what the file fixes."""
    if artifact.batch is not None and set(profile.batch) != {artifact.batch}:
        raise ModelError(
            f"{artifact.path} fixes batches of {artifact.batch}; batch {profile.batch_text} can't change that: "
            "export it with a dynamic batch"
        )
    if artifact.size_wh is not None and set(profile.size_wh) != {artifact.size_wh}:
        width, height = artifact.size_wh
        raise ModelError(
            f"{artifact.path} fixes its input to {width}x{height}; size {profile.size_text} can't change that: "
            "export it with a dynamic size"
        )


def _found(order: _Order, engine: EngineFile) -> EngineFile:
    log.info("engine_found", model=order.name, path=str(engine.path), key=engine.sidecar.key)
    return engine


def _refusal(order: _Order, differs: str) -> str:
    nearest = f"; the nearest differs: {differs}" if differs else ""
    return (
        f"{order.artifact.path} has no engine in {order.folder} for TensorRT {order.parts.tensorrt}, "
        f"{order.device.name}, {order.parts.precision}, batch {order.parts.profile.batch_text}, "
        f"size {order.parts.profile.size_text}{nearest}. "
        "Build it with `framelane engine build`, or set `engine.build: auto`"
    )


def _build(order: _Order) -> EngineFile:
    config, parts, options = order.config, order.parts, order.options
    began_s = time.monotonic()
    log.info(
        "engine_build", model=order.name, key=parts.key, precision=parts.precision, tensorrt=parts.tensorrt,
        batch=parts.profile.batch_text, size=parts.profile.size_text, takes="minutes",
    )  # fmt: skip
    tell = options.tell or _Diary(order.name)
    typed = versions.strongly_typed(order.trt, parts.precision)
    prepared = prepare(
        order.artifact.path, parts.precision, typed=typed, calibration=_calibration(order, tell)
    )
    timing = options.timing_cache or timing_path(order.folder, order.device, parts.tensorrt)
    least, best, most = parts.profile.shapes
    request = builder.BuildRequest(
        name=str(order.artifact.path),
        model=prepared.model,
        nodes=prepared.nodes,
        image=order.artifact.image.name,
        sizes=None if order.artifact.sizes is None else order.artifact.sizes.name,
        shapes=(least, best, most),
        precision=parts.precision,
        halves=prepared.halves,
        exact=prepared.exact,
        workspace=parse_bytes(config.engine.workspace),
        level=config.engine.level,
        tactic_sources=options.tactic_sources,
        timing=_read_timing(timing),
    )
    built = builder.build(order.trt, request, tell)
    # Write this first: if the engine can't be kept, the next build can still use it.
    _keep_timing(timing, built.timing)
    engine = _store(order, built)
    log.info(
        "engine_built", model=order.name, path=str(engine.path), seconds=round(time.monotonic() - began_s, 1)
    )
    return engine


def _calibration(order: _Order, tell: Tell) -> Calibration | None:
    if not order.pictures:
        return None
    total = len(order.pictures)
    spec = input_spec(order.artifact, order.config)
    return Calibration(order.pictures, spec, lambda done: tell("calibrating", done, total))


def _store(order: _Order, built: builder.Built) -> EngineFile:
    """Write the engine, then its sidecar. An engine without a sidecar is ignored."""
    parts, config = order.parts, order.config
    path = engine_path(order.folder, order.stem, parts.key)
    described = inspect.describe(order.trt, built.plan, str(path))
    write(path, built.plan)
    sidecar = Sidecar(
        model=order.artifact.path.name,
        key=parts.key,
        parts=parts,
        bindings=tuple(
            BindingNote(each.name, each.dtype, each.shape, each.is_input) for each in described.bindings
        ),
        layers=tuple(LayerNote(each.name, each.kind, each.precision) for each in described.layers),
        built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        build_s=round(built.seconds, 1),
        framelane=__version__,
        workspace=parse_bytes(config.engine.workspace),
        level=config.engine.level,
        tactic_sources=order.options.tactic_sources,
        size=len(built.plan),
        sha256=file_sha256(path),
    )
    write(sidecar_path(path), sidecar.dump())
    return EngineFile(path, sidecar)


def _read_timing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ModelError(f"the timing cache {path} can't be read: {error.strerror}") from error


def _keep_timing(path: Path, content: bytes) -> None:
    """Write the timing cache back. A failure does not discard an engine that took minutes."""
    try:
        write(path, content)
    except ModelError as error:
        log.warning("engine_timing_cache_not_kept", text=str(error))


@dataclass
class _Diary:
    """Logs a build's progress from time to time, and asks systemd for more time with each line."""

    model: str
    _began_s: float = field(default_factory=time.monotonic)
    _told_s: float = field(default_factory=time.monotonic)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note a step."""
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            extend_start(_LONGEST_STEP_S)
            log.info(
                "engine_building", model=self.model, doing=what, done=done, total=total,
                seconds=round(now_s - self._began_s),
            )  # fmt: skip
