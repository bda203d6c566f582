"""What is said where the GPU path can't be had: one sentence with the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.gpu.availability import why_no_decoder, why_no_driver, why_no_modules, why_old_driver

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_FOUND = "libcuda.so.1: cannot open shared object file: No such file or directory"


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: object) -> Any:
        raise error

    return call


@pytest.mark.parametrize(
    ("start", "count", "inside", "said"),
    [
        (raising(OSError(NOT_FOUND)), 0, False, "no NVIDIA driver (libcuda.so.1 is missing): install it"),
        (
            raising(OSError(NOT_FOUND)),
            0,
            True,
            "no NVIDIA driver in this container (libcuda.so.1 is missing): start it with `--gpus all`",
        ),
        (
            raising(OSError("libcuda.so.1: wrong ELF class: ELFCLASS32")),
            0,
            False,
            "can't be loaded: libcuda.so.1: wrong ELF class",
        ),
        (lambda: 100, 0, False, "the NVIDIA driver finds no GPU: check whether nvidia-smi shows one"),
        (lambda: 100, 0, True, "the NVIDIA driver finds no GPU: start the container with `--gpus all`"),
        (lambda: 0, 0, False, "the NVIDIA driver finds no GPU"),
        (lambda: 34, 1, False, "34): the toolkit's stub is found instead of the driver"),
        (lambda: 803, 1, False, "803): the driver was updated while the old one runs; restart the host"),
        (lambda: 804, 1, False, "804): a CUDA compatibility package does not fit this GPU"),
        (lambda: 802, 1, False, "802): the system is not ready"),
        (lambda: 999, 1, False, "999): check whether nvidia-smi works"),
    ],
)
def test_driver_that_is_missing_or_broken_is_named_with_its_remedy(
    start: Callable[[], int], count: int, said: str, *, inside: bool
) -> None:
    sentence = why_no_driver(start, lambda: count, lambda: inside)
    assert sentence is not None
    assert said in sentence
    assert "\n" not in sentence


def test_driver_with_a_gpu_is_no_absence() -> None:
    assert why_no_driver(lambda: 0, lambda: 1, lambda: False) is None


@pytest.mark.parametrize(
    ("broken", "error", "said"),
    [
        (
            "pycuda.driver",
            ModuleNotFoundError("No module named 'pycuda'", name="pycuda"),
            "PyCUDA is not installed: pip install framelane[gpu]",
        ),
        (
            "tensorrt",
            ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt"),
            "TensorRT is not installed: pip install framelane[gpu]",
        ),
        (
            "pycuda.driver",
            ModuleNotFoundError("No module named 'pytools'", name="pytools"),
            "PyCUDA lacks a module, pytools: pip install framelane[gpu]",
        ),
        (
            "tensorrt",
            ImportError("libcublas.so.11: cannot open shared object file: No such file or directory"),
            "TensorRT can't be imported: libcublas.so.11: cannot open",
        ),
        (
            "tensorrt",
            OSError("libnvinfer.so.8: undefined symbol"),
            "TensorRT can't be imported: libnvinfer.so.8: undefined symbol",
        ),
    ],
)
def test_modules_that_can_not_be_imported_are_named_with_the_remedy(
    broken: str, error: Exception, said: str
) -> None:
    def load(module: str) -> None:
        if module == broken:
            raise error

    sentence = why_no_modules(load)
    assert sentence is not None
    assert sentence.startswith(said)


def test_modules_that_are_there_are_no_absence() -> None:
    asked: list[str] = []
    assert why_no_modules(asked.append) is None
    assert asked == ["pycuda.driver", "tensorrt"]


def test_decoder_that_is_missing_names_the_container_setting() -> None:
    sentence = why_no_decoder(raising(OSError("libnvcuvid.so.1: cannot open shared object file")))
    assert sentence is not None
    assert "NVIDIA_DRIVER_CAPABILITIES must name video" in sentence
    assert why_no_decoder(lambda _name: None) is None


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (11040, "the NVIDIA driver is too old (CUDA 11.4): update it to 520 or newer"),
        (11080, None),
        (13000, None),
    ],
)
def test_driver_that_is_too_old_for_the_kernels_is_named(version: int, said: str | None) -> None:
    assert why_old_driver(lambda: version) == said
