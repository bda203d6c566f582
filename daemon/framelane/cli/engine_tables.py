"""Shows engines, builds and comparisons on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from framelane.core.errors import ModelError
from framelane.models.engines.folder import EngineFile, sidecar_path
from framelane.models.engines.sidecar import SUFFIX, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from framelane.measure.verify import Verification

# Columns if the output is no terminal.
_WIDTH = 120


def engines_at(path: Path) -> tuple[list[EngineFile], list[ModelError]]:
    """Return an engine, or all engines of a folder, and the errors of those that don't match their sidecars.

    Raises:
        ModelError: the folder holds no engines.
    """
    paths = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not paths:
        raise ModelError(f"{path} holds no engines")
    found, faults = [], []
    for each in paths:
        file = each.with_name(each.name.removesuffix(".json"))
        try:
            sidecar = Sidecar.read(sidecar_path(file))
            sidecar.check_engine(file)
        except ModelError as error:
            faults.append(error)
        else:
            found.append(EngineFile(file, sidecar))
    return found, faults


def show(engine: EngineFile, *, layers: bool) -> None:
    """Print an engine's properties."""
    sidecar, parts = engine.sidecar, engine.sidecar.parts
    console = _console()
    rows = [
        ("engine", str(engine.path)),
        ("key", sidecar.key),
        ("model", f"{sidecar.model} ({parts.onnx[:12]})"),
        ("precision", parts.precision),
        ("batch", parts.profile.batch_text),
        ("size", parts.profile.size_text),
        ("GPU", f"{parts.gpu}, compute capability {parts.capability[0]}.{parts.capability[1]}"),
        ("TensorRT", parts.tensorrt),
        ("calibration", parts.calibration or "none"),
        ("built", f"{sidecar.built_at} in {sidecar.build_s:g} s by Framelane {sidecar.framelane}"),
        ("file", f"{sidecar.size / 1e6:.1f} MB, sha256 {sidecar.sha256[:12]}"),
    ]
    console.print(_table(("", ""), rows))
    bindings = [
        (
            "input" if each.is_input else "output",
            each.name,
            each.dtype,
            "x".join(str(dim) for dim in each.shape),
        )
        for each in sidecar.bindings
    ]
    console.print(_table(("binding", "name", "type", "shape"), bindings))
    if layers:
        console.print(
            _table(("layer", "kind", "precision"), [(e.name, e.kind, e.precision) for e in sidecar.layers])
        )
        return
    counted = Counter((each.kind or "?", each.precision or "?") for each in sidecar.layers)
    kinds = [(kind, precision, str(count)) for (kind, precision), count in counted.most_common()]
    console.print(_table(("layers", "precision", "count"), kinds))


def show_verification(result: Verification) -> None:
    """Print a comparison."""
    console = _console()
    errors = [
        (each.name, f"{each.largest:.4g}", f"{each.mean:.4g}", f"{each.magnitude:.4g}")
        for each in result.outputs
    ]
    console.print(_table(("output", "largest error", "mean error", "mean magnitude"), errors))
    found = result.agreement
    rows = [
        ("images", str(found.pictures)),
        ("detections, ONNX Runtime / engine", f"{found.reference} / {found.other}"),
        ("agree at IoU .5", f"{found.loose:.1%} (at least {result.least_agreement:.1%})"),
        ("agree at IoU .9", f"{found.tight:.1%}"),
        ("agree at IoU .99, confidence within .005", f"{found.same:.1%}"),
        ("confidence, mean / largest difference", f"{found.score_mean:.4f} / {found.score_largest:.4f}"),
        ("passed", "yes" if result.passed else "NO"),
    ]
    console.print(_table(("", ""), rows))


class ProgressBar(Progress):
    """Progress of a build, called as its `tell`. The bar is indeterminate if the builder gives no total."""

    def __init__(self) -> None:
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self.add_task("preparing", total=None)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show a step."""
        self.update(self._task, description=what, completed=done, total=total or None)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(*columns, box=SIMPLE_HEAD, show_header=any(columns))
    for row in rows:
        table.add_row(*row)
    return table
