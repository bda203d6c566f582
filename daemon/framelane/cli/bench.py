"""The commands `framelane bench`: engine, decode and pipeline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from framelane.cli.shared import AsJson, ConfigPath, Seconds, cli

bench = typer.Typer(help="Measure this machine: engine, decode or the whole pipeline.", no_args_is_help=True)
cli.add_typer(bench, name="bench")


@bench.command("engine")
def bench_engine(
    model: Annotated[Path, typer.Argument(help="The ONNX file.", metavar="MODEL")],
    *,
    batches: Annotated[str | None, typer.Option(help="Batch sizes, separated by commas.")] = None,
    seconds: Seconds = 2.0,
    backend: Annotated[
        Literal["onnxruntime", "tensorrt"], typer.Option(help="What runs the model.")
    ] = "onnxruntime",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="For TensorRT: precision.")
    ] = "fp16",
    slots: Annotated[int, typer.Option(min=1, max=64, help="For TensorRT: batches in flight.")] = 2,
    engine_folder: Annotated[Path, typer.Option(help="For TensorRT: the engines folder.")] = Path("engines"),
    calibration: Annotated[
        Path | None, typer.Option(help="For INT8: a folder of calibration images.")
    ] = None,
    min_batch: Annotated[
        int, typer.Option(min=1, max=256, help="For TensorRT: smallest batch of the engine's profile.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure a model alone: latency, images per second and CPU, for each batch size and way to run it."""
    from framelane.measure import report

    _quiet()
    sizes = _batch_sizes(batches) if batches else None
    if backend == "tensorrt":
        from framelane.measure.gpu_engine import GpuOptions, bench_gpu_engine

        options = GpuOptions(precision, slots, engine_folder, calibration, min_batch)
        report.show(bench_gpu_engine(model, options, sizes or [1, 16], seconds), as_json=as_json)
        return
    from framelane.measure import engine

    report.show(engine.bench_engine(model, sizes or engine.BATCHES, seconds=seconds), as_json=as_json)


def _batch_sizes(text: str) -> list[int]:
    sizes = [int(each) for each in text.split(",") if each.strip().isdecimal()]
    if len(sizes) < text.count(",") + 1 or min(sizes) < 1:
        raise typer.BadParameter(
            f"`{text}` is not a list of numbers above 0, such as 1,8,16", param_hint="--batches"
        )
    return sizes


@bench.command("decode")
def bench_decode(
    urls: Annotated[list[str], typer.Argument(help="Files or cameras.", metavar="URL...")],
    *,
    streams: Annotated[
        int, typer.Option(min=0, help="Parallel streams, divided among the URLs; 0 for one per URL.")
    ] = 0,
    seconds: Seconds = 10.0,
    parser: Annotated[
        Literal["product", "ffmpeg"], typer.Option(help="product: as `run` reads; ffmpeg: plain PyAV.")
    ] = "product",
    decoder: Annotated[Literal["cpu", "nvdec"], typer.Option("--decode", help="The decoder.")] = "cpu",
    gpu: Annotated[int, typer.Option(min=0, help="The GPU for NVDEC.")] = 0,
    download: Annotated[bool, typer.Option(help="Copy NVDEC's frames to host memory.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the streams.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure decoding alone: frames per second and CPU per frame."""
    from framelane.measure import decode, decode_source, report
    from framelane.sources.decoding.decoder import DecoderChoice

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
    from framelane.config.yaml.load import load_config
    from framelane.measure import pipeline, report

    _quiet()
    report.show(pipeline.bench_pipeline(load_config(config, os.environ), seconds, warmup), as_json=as_json)


def _quiet() -> None:
    from framelane.core.log import setup

    setup("warning", "console")
