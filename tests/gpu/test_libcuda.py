"""The ctypes signatures, against a library with cuda.h's prototypes that says what it was given."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from framelane.gpu import compute_cache, libcuda

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = r"""
#include <stddef.h>
#include <string.h>
typedef int CUresult; typedef int CUdevice; typedef unsigned long long CUdeviceptr; typedef void *handle;
static unsigned long long seen[4];
unsigned long long given(int i) { return seen[i]; }
CUresult cuInit(unsigned int flags) { return flags ? 1 : 0; }
CUresult cuDriverGetVersion(int *version) { *version = 13000; return 0; }
CUresult cuDeviceGetCount(int *count) { *count = 2; return 0; }
CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice dev) {
    if (dev > 1) return 101;
    strncpy(id, dev ? "0000:0b:00.0" : "0000:0a:00.0", len);
    return 0;
}
CUresult cuGetErrorName(CUresult error, const char **text) { *text = "CUDA_ERROR_LAUNCH_FAILED"; return error != 719; }
CUresult cuGetErrorString(CUresult error, const char **text) {
    *text = "a text of a newer driver";
    return error != 719;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t size, handle stream) {
    seen[0] = dst; seen[1] = (unsigned long long)src; seen[2] = size; seen[3] = (unsigned long long)stream;
    return 0;
}
CUresult cuGraphInstantiateWithFlags(handle *made, handle graph, unsigned long long flags) {
    *made = graph; seen[0] = flags;
    return 0;
}
"""
HIGH = 0x7F12_3456_7890


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("libcuda")
    (folder / "cuda.c").write_text(SOURCE)
    target = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, folder / "cuda.c"], check=True)
    return target


@pytest.fixture
def library(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[libcuda.Libcuda]:
    monkeypatch.setattr(libcuda, "LIBRARY", str(built))
    monkeypatch.setattr(compute_cache, "_writable", lambda _folder: True)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "kept for monkeypatch to restore")
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    libcuda.libcuda.cache_clear()
    yield libcuda.libcuda()
    libcuda.libcuda.cache_clear()


def test_initialize_numbers_gpus_as_nvidia_smi_does(library: libcuda.Libcuda) -> None:
    assert libcuda.initialize() == 0
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_initialize_leaves_an_order_that_is_set(
    library: libcuda.Libcuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    libcuda.initialize()
    assert os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


def test_gpus_are_counted_and_located(library: libcuda.Libcuda) -> None:
    assert (libcuda.device_count(), libcuda.driver_version()) == (2, 13000)
    assert [libcuda.pci_bus_id(index) for index in range(3)] == ["0000:0a:00.0", "0000:0b:00.0", None]


def test_errors_are_named_by_the_driver(library: libcuda.Libcuda) -> None:
    assert libcuda.error_name(719) == "CUDA_ERROR_LAUNCH_FAILED"
    assert libcuda.error_text(719) == "a text of a newer driver"
    assert (libcuda.error_name(5), libcuda.error_text(5)) == ("CUDA error 5", "")


@pytest.mark.parametrize("way", ["with_gil", "without_gil"])
def test_addresses_arrive_whole(library: libcuda.Libcuda, way: str) -> None:
    bare = ctypes.CDLL(libcuda.LIBRARY)
    bare.given.restype = ctypes.c_ulonglong
    functions = getattr(library, way)
    assert functions.cuMemcpyHtoDAsync_v2(HIGH, HIGH + 1, HIGH + 2, HIGH + 3) == 0
    assert [bare.given(index) - HIGH for index in range(4)] == [0, 1, 2, 3]
    made = ctypes.c_void_p()
    assert functions.cuGraphInstantiateWithFlags(ctypes.byref(made), ctypes.c_void_p(HIGH), 0) == 0
    assert made.value == HIGH


def test_a_function_that_the_driver_lacks_fails_when_it_is_called(library: libcuda.Libcuda) -> None:
    with pytest.raises(AttributeError, match="cuGraphLaunch"):
        library.without_gil.cuGraphLaunch(1, 2)


def test_names_are_plain_numbers_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcuda, "LIBRARY", "libcuda-that-is-not-there.so")
    libcuda.libcuda.cache_clear()
    assert (libcuda.error_name(719), libcuda.error_text(719)) == ("CUDA error 719", "")
