"""Shows catalogs, downloads and models on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from framelane.models.inspection import MOST_BATCH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from framelane.models.catalog.catalog import Catalog
    from framelane.models.catalog.download import Tell
    from framelane.models.heads.attempts import Attempt
    from framelane.models.input.spec import InputSpec
    from framelane.models.inspection import Inspection

# Columns if the output is no terminal.
_WIDTH = 120
# Characters of a model's metadata or class names that are shown.
_LONGEST = 100


def show_catalog(catalog: Catalog, there: Collection[str]) -> None:
    """Print the models that can be fetched."""
    table = Table("name", "license", "size", "there", "about", box=SIMPLE_HEAD)
    for name, entry in catalog.items():
        size = f"{entry.size / 1e6:.1f} MB"
        table.add_row(name, entry.license, size, "yes" if name in there else "no", entry.about)
    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(table)


@contextmanager
def download_bar(name: str) -> Iterator[Tell]:
    """Show a bar while the block runs; yields what moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield tell


def show_inspection(found: Inspection) -> None:
    """Print what is known of a model file."""
    rows = [(name, text) for name, texts in _facts(found).items() for text in texts]
    typer.echo("\n".join(f"{name:<12} {text}" for name, text in rows))


def _facts(found: Inspection) -> dict[str, list[str]]:
    header, head = found.header, found.head
    facts = {"file": [str(found.path) + (f", {found.bytes / 1e6:.1f} MB" if found.bytes is not None else "")]}
    if found.hash is not None:
        facts["hash"] = [found.hash]
    if header is not None:
        opsets = ", ".join(f"{domain} {version}" for domain, version in header.opsets.items())
        producer = header.producer or "an unknown program"
        facts["written by"] = [f"{producer}, IR {header.ir_version}, {opsets}, {header.operators} operators"]
        facts["metadata"] = [f"{key}: {_short(text)}" for key, text in header.metadata.items()]
    if found.changed is not None:
        facts["changed"] = [found.changed]
    facts["input"] = [str(spec) for spec in found.inputs]
    facts["output"] = [str(spec) for spec in found.outputs]
    facts["gives"] = [f"{name} {list(shape)} for one image" for name, shape in found.shapes.items()]
    facts["tried"] = _outcomes(found.attempts)
    if head is not None:
        facts["head"] = [f"{head.name}, {'suppressed' if head.overlapping else 'no suppression'}"]
        facts["prepared"] = [_preparation(head.input)]
    if found.labels:
        facts["classes"] = [f"{len(found.labels)}: {_short(', '.join(found.labels))}"]
        objects = ", ".join(f"{count} {label}" for label, count in found.found.items())
        facts["finds"] = [f"{objects or 'nothing'} on the trial street"]
    if found.most_batch is not None:
        fixed = (
            "any" if found.fixed_batch is None else f"fixed at {found.fixed_batch}, larger ones run in parts"
        )
        facts["batch"] = [f"{fixed}; right up to {found.most_batch} images, of {MOST_BATCH} tried"]
    facts["doubt"] = found.doubts
    return facts


def _outcomes(attempts: list[Attempt]) -> list[str]:
    """Return a line for each attempt; of several heads that fit an output, the first reads it."""
    lines, read = [], set()
    for attempt in attempts:
        said = {
            "shape": f"no: would be {attempt.why}",
            "values": "no: the shape fits, the values don't",
            "fault": f"no: {attempt.why}",
            "fits": "fits too, but comes later" if attempt.output in read else "fits",
        }
        lines.append(f"{attempt.head:<14} on {attempt.output}: {said[attempt.outcome]}")
        if attempt.outcome == "fits":
            read.add(attempt.output)
    return lines


def _preparation(spec: InputSpec) -> str:
    """Say how images become the model's input."""
    scale = "pixels 0..255" if spec.scale == 1 else f"pixels x {spec.scale:.6g}"
    if spec.placement == "stretch":
        fitted = f"stretched to {spec.width}x{spec.height}"
    else:
        place = "centered" if spec.placement == "center" else "top left"
        fitted = f"letterbox {spec.width}x{spec.height} {place}, padded with {spec.pad}"
    normalized = (
        f", mean {list(spec.mean)}, std {list(spec.std)}" if any(spec.mean) or set(spec.std) != {1.0} else ""
    )
    return f"{spec.color.upper()}, {scale}{normalized}, {fitted}, {spec.dtype}"


def _short(text: str) -> str:
    """Return the beginning of a long text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
