"""The tables of the kernels that copy, reduce and judge frames within the GPU, and their launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from framelane.inference.backends.cuda.preprocess import Launcher

# The fields of the structs in kernels/copies.h, which documents them.
COPIED_PLANE = np.dtype(
    [
        ("source", np.uint64),
        ("target", np.uint64),
        ("source_pitch", np.int32),
        ("target_pitch", np.int32),
        ("samples", np.int32),
        ("lines", np.int32),
        ("sample_bytes", np.int32),
        ("sample_scale", np.float32),
    ],
    align=True,
)
REDUCED_PLANE = np.dtype(
    [
        ("source", np.uint64),
        ("target", np.uint64),
        ("source_pitch", np.int32),
        ("target_pitch", np.int32),
        ("source_wh", np.int32, 2),
        ("target_wh", np.int32, 2),
        ("step", np.int32),
    ],
    align=True,
)
LOOK = np.dtype(
    [
        ("source", np.uint64),
        ("pitch", np.int32),
        ("source_wh", np.int32, 2),
        ("small_wh", np.int32, 2),
    ],
    align=True,
)

# Threads per block, and what each computes: kSamples and kLines in kernels/copies.cu.
_BLOCK = (32, 8, 1)
_SAMPLES, _LINES = 16, 4
# SHARPNESS_THREADS in kernels/sharpness.cu.
_LOOK_THREADS = 256


def launch_copy(
    kernels: Launcher,
    stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
    table_address: int,
    rows: NDArray[np.void],
) -> None:
    """Copy planes; `rows` [n] of COPIED_PLANE are what lies at the table's address."""
    columns, lines = _BLOCK[0] * _SAMPLES, _BLOCK[1]
    grid = (-(-int(rows["samples"].max()) // columns), -(-int(rows["lines"].max()) // lines), len(rows))
    kernels.launch("framelane_copy_planes", grid, _BLOCK, stream, np.uint64(table_address))


def launch_reduce(
    kernels: Launcher,
    stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
    table_address: int,
    rows: NDArray[np.void],
) -> None:
    """Reduce parts of Y, U and V; `rows` [n] of REDUCED_PLANE are what lies at the table's address."""
    columns, lines = (int(side) for side in rows["target_wh"].max(axis=0))
    grid = (-(-columns // _BLOCK[0]), -(-lines // (_BLOCK[1] * _LINES)), len(rows))
    kernels.launch("framelane_reduce_planes", grid, _BLOCK, stream, np.uint64(table_address))


def launch_sharpness(
    kernels: Launcher,
    stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
    table_address: int,
    count: int,
    output_address: int,
) -> None:
    """Write the sharpness of `count` parts of luma planes as float32 [count]; each row is a LOOK."""
    kernels.launch(
        "framelane_sharpness", (count, 1, 1), (_LOOK_THREADS, 1, 1), stream,
        np.uint64(table_address), np.uint64(output_address),
    )  # fmt: skip
