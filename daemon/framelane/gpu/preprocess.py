"""Launches the preprocess kernel: decoded planes of a batch in, the model's input tensor out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from typing import Any

# Threads of a block, and pixels of a thread, side by side: kPixels in kernels/preprocess.cu.
_BLOCK = (32, 8, 1)
_PIXELS = 4


class Launcher(Protocol):
    """What starts a kernel by its name."""

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
        *args: np.generic,
    ) -> None:
        """Start a kernel on a stream."""
        ...


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The tensor that the kernel fills, NCHW.

    Attributes:
        width: pixels across.
        height: pixels down.
        dtype: element type.
        scale: factor on 8-bit values.
        pad: 8-bit value of the padding, on all channels.
    """

    width: int
    height: int
    dtype: Literal["float32", "float16", "uint8"]
    scale: float
    pad: int

    def size(self, count: int) -> int:
        """Bytes of `count` pictures."""
        return count * 3 * self.height * self.width * np.dtype(self.dtype).itemsize


def launch_preprocess(
    kernels: Launcher,
    stream: Any,  # noqa: ANN401 - the launcher's own kind of stream
    table_address: int,
    count: int,
    output_address: int,
    out: OutputSpec,
) -> None:
    """Write every element of `count` pictures [count, 3, h, w], padding included; a row of the table is a picture."""
    columns, lines = _BLOCK[0] * _PIXELS, _BLOCK[1]
    grid = (-(-out.width // columns), -(-out.height // lines), count)
    pad = np.float32(np.dtype(out.dtype).type(out.pad * out.scale))
    kernels.launch(
        f"framelane_preprocess_{out.dtype}", grid, _BLOCK, stream,
        np.uint64(table_address), np.uint64(output_address),
        np.int32(out.width), np.int32(out.height), np.float32(out.scale), pad,
    )  # fmt: skip
