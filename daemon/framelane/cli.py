"""The `framelane` command: run, reload, check, schema, probe, engine, demo and bench.

Exit codes: 0 done; 1 something failed; 2 the configuration or the command line is wrong; 3 a model can't be used;
70 the GPU can't be used by this process any more; 128 + n a second signal n while stopping.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import orjson
import typer

from framelane import __version__
from framelane.core.errors import ConfigError, Finding, FramelaneError, ModelError
from framelane.core.hugepages import use_huge_pages
from framelane.engine_cli import engine

if TYPE_CHECKING:
    from framelane.config.schema import Config

cli = typer.Typer(
    name="framelane",
    help="Many cameras in, detections on MQTT out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench = typer.Typer(help="Measure this machine: engine, decode or the whole pipeline.", no_args_is_help=True)
cli.add_typer(bench, name="bench")
cli.add_typer(engine, name="engine")

ConfigPath = Annotated[Path, typer.Argument(help="The YAML file.", metavar="CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Seconds = Annotated[float, typer.Option(min=0.5, help="How long to measure.")]


@cli.callback(invoke_without_command=True)
def version(*, show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Options of the command itself."""
    if show:
        typer.echo(f"framelane {__version__}")
        raise typer.Exit


@cli.command()
def run(config: ConfigPath) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    from framelane.config.load import check_config
    from framelane.core.log import setup
    from framelane.fleet.daemon import make_service
    from framelane.live.changes import LiveConfig

    report = check_config(config, os.environ)
    if report.config is None:
        _refuse(config, report.findings)
    loaded = report.config
    setup(loaded.log.level, loaded.log.format)
    _log_warnings(report.warnings)
    try:
        make_service(LiveConfig(config, os.environ, report)).run()
    except ConfigError as error:  # of labels, which only the models' files know
        _refuse(config, report.located(error.findings))


@cli.command()
def reload(config: ConfigPath) -> None:
    """Have the daemon that runs CONFIG read it again; exit 0 if it was applied, else nothing has changed."""
    from framelane.live.control import ask_to_reload

    answer = ask_to_reload(config, os.environ)
    if answer["exit_code"]:
        for finding in answer["findings"]:
            typer.echo(_located(config, Finding(*finding)), err=True)
        raise typer.Exit(answer["exit_code"])
    counts = (f"{len(answer[what])} {what}" for what in ("added", "changed", "removed"))
    typer.echo(f"{config}: applied in {answer['took_s']:.2f} s, streams: {', '.join(counts)}")


@cli.command()
def check(config: ConfigPath) -> None:
    """Report everything wrong with a configuration and its models, and exit 2 if anything is."""
    from framelane.config.load import check_config
    from framelane.core.log import setup

    setup("error", "console")
    report = check_config(config, os.environ)
    for warning in report.warnings:
        typer.echo(f"warning: {_located(config, warning)}", err=True)
    findings = report.findings if report.config is None else report.located(_model_findings(report.config))
    if findings:
        _refuse(config, findings)
    for warning in report.located(_gpu_warnings(report.config)):
        typer.echo(f"warning: {_located(config, warning)}", err=True)
    typer.echo(f"{config}: ok")


@cli.command()
def schema(
    what: Annotated[
        Literal["config", "asyncapi", "detections", "state", "status", "stats", "node-stats"],
        typer.Argument(help="The YAML file, all MQTT topics (AsyncAPI 3.0), or one kind of message."),
    ] = "config",
) -> None:
    """Print a JSON Schema: of the YAML file for editors, of the MQTT messages for consumers."""
    from framelane.config.jsonschema import json_schema
    from framelane.sinks import schemas
    from framelane.sinks.asyncapi import asyncapi

    makers = {"config": json_schema, "asyncapi": asyncapi}
    made = makers[what]() if what in makers else schemas.load(what)
    typer.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2))


@cli.command()
def probe(
    url: Annotated[str, typer.Argument(help="Camera, file or device.", metavar="URL")],
    *,
    seconds: Seconds = 3.0,
    transport: Annotated[Literal["tcp", "udp"], typer.Option(help="For rtsp://.")] = "tcp",
    as_json: AsJson = False,
) -> None:
    """Open a stream and say what is in it: codec, size, frames a second, clock."""
    from framelane.sources.probe import probe_stream, render

    report = probe_stream(url, seconds, transport)
    typer.echo(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2) if as_json else render(report))


@cli.command()
def demo(
    *,
    streams: Annotated[int, typer.Option(min=1, max=64, help="Cameras to embed.")] = 4,
    seconds: Annotated[float, typer.Option(min=0, help="Stop after so long; 0 for Ctrl-C.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="No table; a JSON summary at the end.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Save the last table as SVG.")] = None,
) -> None:
    """Run the daemon on embedded cameras, model and broker, and watch it work."""
    from framelane.demo.show import DemoOptions, run_demo

    run_demo(DemoOptions(streams, seconds, as_json, picture))


@bench.command("engine")
def bench_engine(
    model: Annotated[Path, typer.Argument(help="The ONNX file.", metavar="MODEL")],
    *,
    batches: Annotated[str | None, typer.Option(help="Batch sizes, with commas between.")] = None,
    seconds: Seconds = 2.0,
    backend: Annotated[
        Literal["onnxruntime", "tensorrt"], typer.Option(help="What runs the model.")
    ] = "onnxruntime",
    precision: Annotated[Literal["fp32", "fp16", "int8"], typer.Option(help="For TensorRT.")] = "fp16",
    slots: Annotated[int, typer.Option(min=1, max=64, help="For TensorRT: batches in flight.")] = 2,
    engine_folder: Annotated[Path, typer.Option(help="For TensorRT: where engines are kept.")] = Path(
        "engines"
    ),
    calibration: Annotated[Path | None, typer.Option(help="For INT8: a folder of pictures.")] = None,
    min_batch: Annotated[
        int, typer.Option(min=1, max=256, help="For TensorRT: smallest batch of the engine's profile.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure a model alone: latency, images a second and CPU, for each batch size and way to run it."""
    from framelane.bench import report

    _quiet()
    sizes = _batch_sizes(batches) if batches else None
    if backend == "tensorrt":
        from framelane.bench.gpu_engine import GpuOptions, bench_gpu_engine

        options = GpuOptions(precision, slots, engine_folder, calibration, min_batch)
        report.show(bench_gpu_engine(model, options, sizes or [1, 16], seconds), as_json=as_json)
        return
    from framelane.bench import engine

    report.show(engine.bench_engine(model, sizes or engine.BATCHES, seconds=seconds), as_json=as_json)


def _batch_sizes(text: str) -> list[int]:
    sizes = [int(each) for each in text.split(",") if each.strip().isdecimal()]
    if len(sizes) < text.count(",") + 1 or min(sizes) < 1:
        raise typer.BadParameter(
            f"`{text}` is no list of numbers above 0, such as 1,8,16", param_hint="--batches"
        )
    return sizes


@bench.command("decode")
def bench_decode(
    urls: Annotated[list[str], typer.Argument(help="Files or cameras.", metavar="URL...")],
    *,
    streams: Annotated[
        int, typer.Option(min=0, help="Streams at once, dealt over the URLs; 0 for one each.")
    ] = 0,
    seconds: Seconds = 10.0,
    parser: Annotated[Literal["product", "ffmpeg"], typer.Option(help="ffmpeg: plain PyAV.")] = "product",
    decoder: Annotated[Literal["cpu", "nvdec"], typer.Option("--decode", help="What decodes.")] = "cpu",
    gpu: Annotated[int, typer.Option(min=0, help="Whose NVDEC.")] = 0,
    download: Annotated[bool, typer.Option(help="Bring NVDEC's pictures to host memory.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the streams.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure decoding alone: frames a second and CPU a frame."""
    from framelane.bench import decode, decode_source, report
    from framelane.sources.decoder import DecoderChoice

    _quiet()
    choice = DecoderChoice(gpu if decoder == "nvdec" else None, download)
    decoding = decode_source.Decoding(parser, choice)
    report.show(decode.bench_decode(urls, streams, seconds, decoding, processes), as_json=as_json)


@bench.command("pipeline")
def bench_pipeline(
    config: ConfigPath,
    *,
    seconds: Seconds = 30.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds before measuring.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Run a configuration and measure it: rates, drops, latency percentiles, CPU and memory."""
    from framelane.bench import pipeline, report
    from framelane.config.load import load_config

    _quiet()
    report.show(pipeline.bench_pipeline(load_config(config, os.environ), seconds, warmup), as_json=as_json)


def entry() -> None:
    """Begin the process; the daemon's begins a second time if that makes it faster."""
    if sys.argv[1:2] == ["run"]:
        use_huge_pages()
    main()


def main() -> None:
    """Run the command; errors meant for operators end it with their message and exit code."""
    try:
        cli()
    except FramelaneError as error:
        from framelane.core.redact import redact

        sys.stderr.write(f"framelane: {redact(str(error))}\n")
        sys.stderr.flush()
        if error.ends_at_once:
            sys.stdout.flush()
            os._exit(error.exit_code)
        sys.exit(error.exit_code)


def _quiet() -> None:
    from framelane.core.log import setup

    setup("warning", "console")


def _log_warnings(warnings: list[Finding]) -> None:
    import structlog

    for warning in warnings:
        structlog.get_logger(__name__).warning("config_oddity", key=warning.path, text=warning.message)


def _refuse(file: Path, findings: list[Finding]) -> NoReturn:
    for finding in findings:
        typer.echo(_located(file, finding), err=True)
    raise typer.Exit(ConfigError.exit_code)


def _located(file: Path, finding: Finding) -> str:
    if finding.file:
        return str(finding)
    return f"{file}:{finding.line}: {finding}" if finding.line else f"{file}: {finding}"


def _gpu_warnings(config: Config | None) -> list[Finding]:
    """Models that are to run on a GPU, where this host can't."""
    from framelane.gpu.present import why_absent

    models = {} if config is None else config.models
    keys = [key for key, section in models.items() if section.backend == "tensorrt"]
    reason = why_absent() if keys else None
    return [Finding(f"models.{key}.backend", f"not on this host: {reason}") for key in keys if reason]


def _model_findings(config: Config) -> list[Finding]:
    """What is wrong with the models themselves, and with labels that streams ask of them."""
    from framelane.inference.class_filter import label_findings
    from framelane.inference.model import load_model

    findings, labels = [], {}
    for key, section in config.models.items():
        try:
            # On the CPU: building an engine takes minutes, and a GPU that is missing here is no fault of the file.
            labels[key] = load_model(key, section.model_copy(update={"backend": "onnxruntime"})).info.labels
        except ModelError as error:
            findings.append(Finding(f"models.{key}.path", str(error)))
    for index, stream in enumerate(config.streams):
        known = {key: labels[key] for key in stream.model_keys if key in labels}
        if known:
            findings += label_findings(f"streams[{index}]", known, stream.classes, stream.confidence)
    return findings
