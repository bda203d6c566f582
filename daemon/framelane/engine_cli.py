"""The commands `framelane engine`: build, inspect and verify."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.config.schema import ModelConfig
    from framelane.inference.artifact import Artifact
    from framelane.inference.engines.profiles import Profile

engine = typer.Typer(help="TensorRT engines: build, inspect, verify.", no_args_is_help=True)

ModelPath = Annotated[Path, typer.Argument(help="The ONNX file.", metavar="MODEL")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Precision = Annotated[Literal["fp32", "fp16", "int8"], typer.Option(help="Precision of the network.")]
Batch = Annotated[
    str | None,
    typer.Option(help="Pictures: least:best:most, or the most alone; 1:16:16 by default.", metavar="1:16:32"),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="WIDTHxHEIGHT or least:best:largest, where the file leaves it open.", metavar="640x640"
    ),
]
Folder = Annotated[Path, typer.Option(help="Where engines are kept.")]
Gpu = Annotated[int, typer.Option(min=0, help="GPU, by number as nvidia-smi lists them.")]
Calibration = Annotated[
    Path | None, typer.Option("--calibration-images", help="At least 128 of your own pictures; for int8.")
]


@engine.command()
def build(
    model: ModelPath,
    *,
    precision: Precision = "fp16",
    batch: Batch = None,
    size: Size = None,
    workspace: Annotated[str, typer.Option(help="Most scratch memory a kernel may use.")] = "4GiB",
    calibration_images: Calibration = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="The builder's timing cache; one in the folder by default.")
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=0, max=5, help="Optimisation level; TensorRT's own by default.")
    ] = None,
    folder: Folder = Path("engines"),
    head: Annotated[
        str, typer.Option(help="Layout of the output; int8 asks it for the preparation of pictures.")
    ] = "auto",
    gpu: Gpu = 0,
    force: Annotated[bool, typer.Option("--force", help="Build even if a fitting engine is there.")] = False,
    tactic_source: Annotated[
        list[str] | None, typer.Option(help="Take kernels from these sources only.", hidden=True)
    ] = None,
) -> None:
    """Build an engine for this GPU, unless there is one; prints its path. Takes minutes."""
    from framelane.inference.artifact import Artifact
    from framelane.inference.cuda.site import CudaSite
    from framelane.inference.engines.cache import BuildOptions, DeviceFacts, ensure_engine

    _need_gpu()
    settings: dict[str, object] = {"workspace": workspace, "level": level, "folder": str(folder)}
    settings["calibration"] = str(calibration_images) if calibration_images else None
    config = _config(model, precision, head, settings)
    artifact = Artifact.open(model)
    profile = _profile(artifact, config, batch, size)
    with ExitStack() as held:
        tell = _bar(held)
        site = CudaSite(gpu)
        held.callback(site.close)
        facts = DeviceFacts(site.device.name, site.device.capability)
        options = BuildOptions(profile, tuple(tactic_source or ()), timing_cache, force, tell)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # TensorRT's builder swallows KeyboardInterrupt
        with site.device.current():
            built = ensure_engine(model.stem, config, artifact, facts, options)
    typer.echo(built.path)


@engine.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="An engine, or a folder of them.", metavar="ENGINE")],
    *,
    layers: Annotated[bool, typer.Option("--layers", help="List every layer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what an engine is: bindings, profile, layers, precision, versions, key. Needs no GPU.

    Ends with 3 where an engine is not what its sidecar says, or has none; the others of a folder are shown first.
    """
    from framelane.inference.engines.show import engines_at, show

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
    images: Annotated[Path, typer.Option(help="Folder with real pictures.")],
    precision: Precision = "fp16",
    batch: Annotated[
        int | None, typer.Option(min=1, max=256, help="Pictures at once; as many as the file fixes, or 16.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=5000, help="Most pictures to compare.")] = 128,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, where the file leaves it open.")] = None,
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Least confidence of a detection.")] = 0.25,
    least: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least share of detections that agree at IoU .5; by precision by default."
        ),
    ] = None,
    folder: Folder = Path("engines"),
    head: Annotated[str, typer.Option(help="Layout of the output.")] = "auto",
    labels: Annotated[str, typer.Option(help="As `labels` in the configuration.")] = "auto",
    gpu: Gpu = 0,
    as_json: AsJson = False,
) -> None:
    """Compare an engine with ONNX Runtime on real pictures; exit 1 if too few detections agree."""
    from framelane.inference.artifact import Artifact
    from framelane.inference.cuda.plan import BATCH
    from framelane.inference.cuda.site import CudaSite
    from framelane.inference.engines.profiles import parse_size
    from framelane.inference.engines.show import show_verification
    from framelane.inference.engines.verify import LEAST_AGREEMENT, pictures_in
    from framelane.inference.engines.verify import verify as compare
    from framelane.inference.model import load_model

    _need_gpu()
    pictures = pictures_in(images, count)
    batch = batch or Artifact.open(model).batch or BATCH
    # Full batches are all it takes, so an engine with any least batch will do.
    config = _config(model, precision, head, {"folder": str(folder), "build": "never", "min_batch": batch})
    more = {"labels": labels, "confidence": confidence, "batch": batch, "slots": 1}
    config = config.model_copy(update=more | ({"size": list(parse_size(size)[1])} if size else {}))
    with ExitStack() as held:
        site = CudaSite(gpu)
        held.callback(site.close)
        reference = load_model("reference", config.model_copy(update={"backend": "onnxruntime"}))
        held.callback(reference.close)
        other = load_model("engine", config, site)
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
    from framelane.gpu.present import why_absent

    setup("warning" if sys.stderr.isatty() else "info", "console")
    reason = why_absent()
    if reason is not None:
        raise ModelError(reason)


def _config(model: Path, precision: str, head: str, settings: dict[str, object]) -> ModelConfig:
    """A model's section as the command line says it.

    Raises:
        ModelError: a value is not allowed.
    """
    from pydantic import ValidationError

    from framelane.config.schema import ModelConfig

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
    """The shapes that the options ask for; the daemon's where they don't say."""
    from framelane.inference.engines.cache import wanted_profile
    from framelane.inference.engines.profiles import Profile, parse_batch, parse_size

    sizes = parse_size(size) if size else None
    asked = config if sizes is None else config.model_copy(update={"size": list(sizes[1])})
    daemon = wanted_profile(artifact, asked)
    return Profile(parse_batch(batch) if batch else daemon.batch, sizes or daemon.size_wh)


def _bar(held: ExitStack) -> Callable[[str, int, int], None] | None:
    """A progress bar on a terminal; None elsewhere, where the log tells."""
    if not sys.stderr.isatty():
        return None
    from framelane.inference.engines.show import ProgressBar

    return held.enter_context(ProgressBar())
