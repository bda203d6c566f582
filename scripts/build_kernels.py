"""Compile inference/backends/cuda/kernels/*.cu to framelane.ptx with NVRTC 11.8; `--check` only compares."""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "daemon" / "framelane" / "inference/backends/cuda/kernels"
PTX = FOLDER / "framelane.ptx"
WHEEL = "nvidia-cuda-nvrtc-cu11==11.8.89"
# The oldest GPU that TensorRT 8.5 supports; the driver compiles for the GPU it finds. No fused multiply-add,
# so that arithmetic rounds like NumPy, OpenCV and the tests' plain C++ build.
OPTIONS = ("--gpu-architecture=compute_60", "--std=c++14", "--fmad=false")


class NvrtcMissingError(Exception):
    """Raised if NVRTC isn't installed."""


class NvrtcError(Exception):
    """Raised if NVRTC reports an error; the text holds its log."""


def main(arguments: list[str] | None = None) -> int:
    """Write the PTX, or with --check compare it with the sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the PTX is out of date"
    )
    only_check = parser.parse_args(arguments).check
    if only_check and not fresh(PTX):
        print(f"{PTX} is not built from these sources; run scripts/build_kernels.py", file=sys.stderr)
        return 1
    try:
        text = compiled()
    except NvrtcMissingError as error:
        print(error, file=sys.stderr)
        return 0 if only_check else 1
    if only_check and PTX.read_text() != text:
        print(
            f"{PTX} is not what NVRTC builds from these sources; run scripts/build_kernels.py",
            file=sys.stderr,
        )
        return 1
    if not only_check:
        PTX.write_text(text)
        print(f"wrote {PTX}, {len(text)} bytes")
    return 0


def sources() -> list[Path]:
    """Return kernels and headers in a fixed order."""
    return sorted([*FOLDER.glob("*.cu"), *FOLDER.glob("*.h")])


def digest() -> str:
    """Return the SHA-256 of everything that the PTX depends on."""
    whole = hashlib.sha256(" ".join((WHEEL, *OPTIONS)).encode())
    for path in sources():
        whole.update(f"\n{path.name}\n".encode() + path.read_bytes())
    return whole.hexdigest()


def fresh(ptx: Path) -> bool:
    """Return whether a PTX file claims to be built from the current sources."""
    return ptx.is_file() and ptx.read_text(encoding="utf-8").startswith(_heading())


def compiled() -> str:
    """Return the PTX of all kernels.

    Raises:
        NvrtcMissingError: NVRTC's wheel isn't installed.
        NvrtcError: the sources don't compile.
    """
    nvrtc = _library()
    # One program includes every file, so there is one PTX to load.
    kernels = [path for path in sources() if path.suffix == ".cu"]
    program = _program(nvrtc, "".join(f'#include "{path.name}"\n' for path in kernels))
    options = [option.encode() for option in OPTIONS]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    log = _text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
    if code != 0:
        raise NvrtcError(log)
    if log.strip():
        print(log, file=sys.stderr)
    ptx = _text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    # NVRTC counts calls over all programs of a process.
    return _heading() + re.sub(r" // callseq \d+.*", "", ptx)


def _heading() -> str:
    return f"// Made by scripts/build_kernels.py with {WHEEL}. SHA-256 of the sources: {digest()}\n"


def _library() -> ctypes.CDLL:
    try:
        spec = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise NvrtcMissingError(f"NVRTC is not installed; pip install {WHEEL}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "lib"
    try:
        ctypes.CDLL(str(folder / "libnvrtc-builtins.so.11.8"), ctypes.RTLD_GLOBAL)
        return ctypes.CDLL(str(folder / "libnvrtc.so.11.2"))
    except OSError as error:
        raise NvrtcMissingError(f"NVRTC can't be loaded ({error}); pip install {WHEEL}") from error


def _program(nvrtc: ctypes.CDLL, text: str) -> ctypes.c_void_p:
    program = ctypes.c_void_p()
    included = sources()
    count = len(included)
    contents = (ctypes.c_char_p * count)(*[path.read_bytes() for path in included])
    names = (ctypes.c_char_p * count)(*[path.name.encode() for path in included])
    code = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"framelane.cu", count, contents, names
    )
    if code != 0:
        raise NvrtcError(f"nvrtcCreateProgram failed with {code}")
    return program


def _text(size_of: ctypes._NamedFuncPointer, read: ctypes._NamedFuncPointer, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    read(program, buffer)
    return buffer.value.decode()


if __name__ == "__main__":
    sys.exit(main())
