"""Launches the preprocess kernel: from a batch's decoded planes to the model's input tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from framelane.models.input.spec import InputSpec

# Threads per block, and adjacent pixels per thread: kPixels in kernels/preprocess.cu.
_BLOCK = (32, 8, 1)
_PIXELS = 4


class Launcher(Protocol):
    """Launches kernels by name."""

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        *args: np.generic,
    ) -> None:
        """Launch a kernel on a CUDA stream."""
        ...


def launch_preprocess(
    kernels: Launcher,
    stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
    table_address: int,
    count: int,
    output_address: int,
    out: InputSpec,
) -> None:
    """Write every element of `count` images [count, 3, h, w], padding included.

    Each table row is one image.
    """
    columns, lines = _BLOCK[0] * _PIXELS, _BLOCK[1]
    grid = (-(-out.width // columns), -(-out.height // lines), count)
    channels = (*out.factors, *out.offsets, *out.padding.astype(np.float32))
    kernels.launch(
        f"framelane_preprocess_{out.dtype}", grid, _BLOCK, stream,
        np.uint64(table_address), np.uint64(output_address),
        np.int32(out.width), np.int32(out.height), *channels,
    )  # fmt: skip
