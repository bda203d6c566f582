"""The PTX in the package is what the sources give, and holds what the daemon launches."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import build_kernels
from framelane.gpu.module import layouts
from framelane.inference.backends.cuda.preprocess import launch_preprocess
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

PTX = build_kernels.PTX.read_text()
NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
PTXAS = shutil.which("ptxas") or shutil.which("/usr/local/cuda/bin/ptxas")
# Turing to Blackwell: what a driver may compile the PTX for. A toolkit that knows fewer is asked for those.
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
KERNELS = [path for path in build_kernels.sources() if path.suffix == ".cu"]


@dataclass
class Launches:
    """Notes what would be launched."""

    seen: dict[str, tuple[np.generic, ...]] = field(default_factory=dict)

    def launch(self, name: str, grid: Any, block: Any, stream: Any, *args: np.generic) -> None:
        assert all(size >= 1 for size in (*grid, *block))
        assert block[0] * block[1] * block[2] <= 1024
        self.seen[name] = args


def test_ptx_says_that_it_is_made_of_these_sources() -> None:
    assert build_kernels.fresh(build_kernels.PTX), "run scripts/build_kernels.py"


def test_ptx_is_byte_for_byte_what_the_sources_give() -> None:
    try:
        assert build_kernels.compiled() == PTX, "run scripts/build_kernels.py"
    except build_kernels.NvrtcMissingError as error:
        pytest.skip(str(error))


def test_check_fails_when_a_source_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [*build_kernels.sources(), build_kernels.PTX]:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(build_kernels, "FOLDER", tmp_path)
    monkeypatch.setattr(build_kernels, "PTX", tmp_path / "framelane.ptx")
    assert build_kernels.main(["--check"]) == 0
    (tmp_path / "half.h").write_text((tmp_path / "half.h").read_text() + "// more\n")
    assert build_kernels.main(["--check"]) == 1


def test_ptx_asks_for_nothing_newer_than_the_oldest_gpu_and_driver() -> None:
    assert re.search(r"^\.version 7\.8$", PTX, re.MULTILINE)  # drivers from 520
    assert re.search(r"^\.target sm_60$", PTX, re.MULTILINE)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_preprocess_kernel_takes_what_is_launched(dtype: Any) -> None:
    launches = Launches()
    launch_preprocess(launches, None, 256, 3, 512, InputSpec(641, 359, "rgb", 1 / 255, "center", dtype=dtype))
    for name, args in launches.seen.items():
        kinds = {"q": "uint64", "i": "int32", "f": "float32"}
        expected = [kinds[code] for code in layouts(PTX)[name] if code in kinds]
        assert [arg.dtype.name for arg in args] == expected


def test_every_name_in_the_launching_modules_is_a_kernel() -> None:
    """Names are written whole, or with their ends left open as f-strings."""
    folder = build_kernels.FOLDER.parent
    named = re.findall(
        r'f?"(framelane_\w+[\w{}.]*)"', "".join(path.read_text() for path in folder.glob("*.py"))
    )
    kernels = layouts(PTX)
    assert named
    for name in named:
        pattern = re.compile(re.sub(r"\{[^}]*\}", r"\\w+", name))
        assert any(pattern.fullmatch(kernel) for kernel in kernels), name


@pytest.mark.skipif(PTXAS is None, reason="no ptxas")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ptx_spills_nothing_on_any_gpu(architecture: str, tmp_path: Path) -> None:
    skip_unless_known(architecture)
    assert spills([str(PTXAS), f"-arch={architecture}", "-v", str(build_kernels.PTX)], tmp_path) == {0}


@pytest.mark.skipif(NVCC is None, reason="no nvcc")
@pytest.mark.parametrize("architecture", [ARCHITECTURES[0], ARCHITECTURES[-1]])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.name)
def test_sources_compile_with_another_compiler(kernel: Path, architecture: str, tmp_path: Path) -> None:
    skip_unless_known(architecture)
    options = ["-std=c++14", "-fmad=false", f"-arch={architecture}", "-Xptxas", "-v", "-cubin"]
    assert spills([str(NVCC), *options, str(kernel)], tmp_path) == {0}


def skip_unless_known(architecture: str) -> None:
    if NVCC is not None:
        known = subprocess.run([NVCC, "--list-gpu-code"], check=True, capture_output=True, text=True).stdout
        if architecture not in known.split():
            pytest.skip(f"this toolkit does not know {architecture}")


def spills(command: list[str], folder: Path) -> set[int]:
    """Bytes that registers are spilled to, of all kernels."""
    command = [*command, "-o", str(folder / "out.cubin")]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return {int(size) for size in re.findall(r"(\d+) bytes spill stores", said.stdout + said.stderr)}
