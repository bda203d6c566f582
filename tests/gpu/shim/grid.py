"""Kernels built by a plain C++ compiler, behind the same `launch` as `framelane.gpu.module.Kernels`."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framelane.inference.backends.cuda.kernels

SHIM = Path(__file__).with_name("cuda_shim.h")
KERNELS = Path(framelane.inference.backends.cuda.kernels.__file__).parent
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")
# The shim's grid is global, and a slot and the thread that fetches pixels launch kernels at the same time.
_ONE_GRID = threading.Lock()
_BARRIER = re.compile(r"__sync|_sync\(")
# No fused multiply-add, as in the PTX.
_FLAGS = ("-O2", "-g", "-std=c++14", "-shared", "-fPIC", "-ffp-contract=off", "-w")


class GridOnCpu:
    """Runs kernels of .cu files as grids on the CPU; addresses are those of host memory.

    Args:
        sources: files of the kernels' folder, or any .cu file.
    """

    def __init__(self, *sources: str | Path) -> None:
        paths = [KERNELS / source for source in sources]
        self._library = ctypes.CDLL(str(_built(tuple(paths))))
        # By what the files hold together: a header with a barrier counts for every kernel that may use it.
        text = "".join(path.read_text() for path in [*paths, *KERNELS.glob("*.h")])
        self._barriers = bool(_BARRIER.search(text))

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: Any,
        *args: np.generic,
        shared: int = 0,
    ) -> None:
        """Run a kernel to its end; arguments are numpy scalars, and np.uint64 for addresses."""
        assert shared == 0, "the shim has no dynamic shared memory"
        values = [np.atleast_1d(np.asarray(arg)) for arg in args]
        pointers = (ctypes.c_void_p * max(len(values), 1))(*[value.ctypes.data for value in values])
        three = ctypes.c_uint * 3
        with _ONE_GRID:
            self._library[f"launch_{name}"](three(*grid), three(*block), pointers, int(self._barriers))


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Where an array's first element lies: a device address, as far as the shim cares."""
    return int(array.ctypes.data)


def compiler() -> str:
    """The C++ compiler; the test is skipped where there is none."""
    found = shutil.which("g++")
    if found is None:
        pytest.skip("no g++ to compile the kernels with")
    return found


@lru_cache
def _built(paths: tuple[Path, ...]) -> Path:
    folder = Path(_folder().name)
    names = [name for path in paths for name in _KERNEL.findall(path.read_text())]
    lines = [
        f'#include "{SHIM}"',
        *(f'#include "{path}"' for path in paths),
        *(f"SHIM_EXPORT({name})" for name in names),
    ]
    source = folder / f"{'_'.join(path.stem for path in paths)}.cpp"
    source.write_text("\n".join(lines) + "\n")
    library = source.with_suffix(".so")
    subprocess.run([compiler(), *_FLAGS, f"-I{KERNELS}", str(source), "-o", str(library)], check=True)
    return library


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Removed when the interpreter ends."""
    return tempfile.TemporaryDirectory(prefix="framelane-shim-")
