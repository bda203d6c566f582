"""The commands `framelane engine`: build, inspect and verify."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer

from framelane.cli.shared import AsJson, cli
from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.config.sections.model import ModelConfig
    from framelane.models.artifact import Artifact
    from framelane.models.engines.profiles import Profile

engine = typer.Typer(help="TensorRT engines: build, inspect, verify.", no_args_is_help=True)
cli.add_typer(engine, name="engine")

ModelPath = Annotated[Path, typer.Argument(help="The ONNX file.", metavar="MODEL")]
Precision = Annotated[Literal["fp32", "fp16", "int8"], typer.Option(help="Precision of the network.")]
Batch = Annotated[
    str | None,
    typer.Option(help="Batch: least:best:most, or only the most; 1:16:16 by default.", metavar="1:16:32"),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="WIDTHxHEIGHT or least:best:largest, if the file leaves the size open.", metavar="640x640"
    ),
]
Folder = Annotated[Path, typer.Option(help="The engines folder.")]
Gpu = Annotated[int, typer.Option(min=0, help="The GPU's number in nvidia-smi.")]
Calibration = Annotated[
    Path | None, typer.Option("--calibration-images", help="For int8: at least 128 of your own images.")
]


@engine.command()
def build(
    model: ModelPath,
    *,
    precision: Precision = "fp16",
    batch: Batch = None,
    size: Size = None,
    workspace: Annotated[str, typer.Option(help="Most scratch memory of a kernel.")] = "4GiB",
    calibration_images: Calibration = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="The builder's timing cache; in the engines folder by default.")
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=0, max=5, help="Optimization level; TensorRT's default if not given.")
    ] = None,
    folder: Folder = Path("engines"),
    head: Annotated[
        str, typer.Option(help="Layout of the output; for int8 it decides how images are prepared.")
    ] = "auto",
    gpu: Gpu = 0,
    force: Annotated[bool, typer.Option("--force", help="Build even if the engine exists.")] = False,
    tactic_source: Annotated[
        list[str] | None, typer.Option(help="Use only kernels from these sources.", hidden=True)
    ] = None,
) -> None:
    """Build an engine for this GPU unless it exists, which takes minutes; print its path."""
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.models.artifact import Artifact
    from framelane.models.engines.cache import BuildOptions, DeviceFacts, ensure_engine

    _need_gpu()
    settings: dict[str, object] = {"workspace": workspace, "level": level, "folder": str(folder)}
    settings["calibration"] = str(calibration_images) if calibration_images else None
    config = _config(model, precision, head, settings)
    artifact = Artifact.open(model)
    profile = _profile(artifact, config, batch, size)
    with ExitStack() as held:
        tell = _bar(held)
        shared = SharedGpu(gpu)
        held.callback(shared.close)
        facts = DeviceFacts(shared.device.name, shared.device.capability)
        options = BuildOptions(profile, tuple(tactic_source or ()), timing_cache, force, tell)
        # TensorRT's builder swallows KeyboardInterrupt.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with shared.device.current():
            built = ensure_engine(model.stem, config, artifact, facts, options)
    typer.echo(built.path)


@engine.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="An engine, or a folder of them.", metavar="ENGINE")],
    *,
    layers: Annotated[bool, typer.Option("--layers", help="List every layer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an engine's bindings, profile, layers, precision, versions and key. Needs no GPU.

    Exits with 3 if an engine has no sidecar or does not match it, after showing the other engines of a
    folder.
    """
    from framelane.cli.engine_tables import engines_at, show

    found, faults = engines_at(path)
    if as_json:
        sidecars = [orjson.loads(each.sidecar.dump()) | {"path": str(each.path)} for each in found]
        if path.is_dir() or sidecars:
            typer.echo(orjson.dumps(sidecars if path.is_dir() else sidecars[0], option=orjson.OPT_INDENT_2))
    else:
        for each in found:
            show(each, layers=layers)
    if faults:
        raise ModelError("; ".join(str(fault) for fault in faults))


@engine.command()
def verify(
    model: ModelPath,
    *,
    images: Annotated[Path, typer.Option(help="Folder of real images.")],
    precision: Precision = "fp16",
    batch: Annotated[
        int | None, typer.Option(min=1, max=256, help="Batch size; the file's fixed one or 16 by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=5000, help="Most images to compare.")] = 128,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, if the file leaves the size open.")] = None,
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Least confidence of a detection.")] = 0.25,
    least: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least share of detections that agree at IoU .5; by precision by default."
        ),
    ] = None,
    folder: Folder = Path("engines"),
    head: Annotated[str, typer.Option(help="Layout of the output.")] = "auto",
    labels: Annotated[str, typer.Option(help="Same as `labels` in the configuration.")] = "auto",
    gpu: Gpu = 0,
    as_json: AsJson = False,
) -> None:
    """Compare an engine with ONNX Runtime on real images; exit 1 if too few detections agree."""
    from framelane.cli.engine_tables import show_verification
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.inference.model import load_model
    from framelane.measure.verify import LEAST_AGREEMENT, pictures_in
    from framelane.measure.verify import verify as compare
    from framelane.models.artifact import Artifact
    from framelane.models.engines.plan import BATCH
    from framelane.models.engines.profiles import parse_size

    _need_gpu()
    pictures = pictures_in(images, count)
    batch = batch or Artifact.open(model).batch or BATCH
    # All batches are full, so the engine's smallest batch does not matter.
    config = _config(model, precision, head, {"folder": str(folder), "build": "never", "min_batch": batch})
    more = {"labels": labels, "confidence": confidence, "batch": batch, "slots": 1}
    config = config.model_copy(update=more | ({"size": list(parse_size(size)[1])} if size else {}))
    with ExitStack() as held:
        shared = SharedGpu(gpu)
        held.callback(shared.close)
        reference = load_model("reference", config.model_copy(update={"backend": "onnxruntime"}))
        held.callback(reference.close)
        other = load_model("engine", config, shared)
        held.callback(other.close)
        wanted = LEAST_AGREEMENT[precision] if least is None else least
        result = compare(reference, other, pictures, batch, wanted)
    if as_json:
        typer.echo(orjson.dumps(result.as_dict(), option=orjson.OPT_INDENT_2))
    else:
        show_verification(result)
    if not result.passed:
        raise typer.Exit(1)


def _need_gpu() -> None:
    from framelane.core.log import setup
    from framelane.gpu.availability import why_absent

    setup("warning" if sys.stderr.isatty() else "info", "console")
    reason = why_absent()
    if reason is not None:
        raise ModelError(reason)


def _config(model: Path, precision: str, head: str, settings: dict[str, object]) -> ModelConfig:
    """Return a model's section, made from command line options.

    Raises:
        ModelError: a value is not allowed.
    """
    from pydantic import ValidationError

    from framelane.config.sections.model import ModelConfig

    section = {
        "path": str(model),
        "backend": "tensorrt",
        "precision": precision,
        "head": head,
        "engine": settings,
    }
    try:
        return ModelConfig.model_validate(section)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][-1]).replace("_", "-")
        raise ModelError(f"--{option}: {first['msg']}") from error


def _profile(artifact: Artifact, config: ModelConfig, batch: str | None, size: str | None) -> Profile:
    """Return the profile of the options, with the daemon's defaults."""
    from framelane.models.engines.cache import wanted_profile
    from framelane.models.engines.profiles import Profile, parse_batch, parse_size

    sizes = parse_size(size) if size else None
    asked = config if sizes is None else config.model_copy(update={"size": list(sizes[1])})
    daemon = wanted_profile(artifact, asked)
    return Profile(parse_batch(batch) if batch else daemon.batch, sizes or daemon.size_wh)


def _bar(held: ExitStack) -> Callable[[str, int, int], None] | None:
    """Return a progress bar on a terminal; None elsewhere, where the log shows progress."""
    if not sys.stderr.isatty():
        return None
    from framelane.cli.engine_tables import ProgressBar

    return held.enter_context(ProgressBar())
