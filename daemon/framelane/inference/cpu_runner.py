"""A slot's work on the CPU: preprocessing, a backend's raw outputs, box decoding and suppression."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from framelane.inference.preprocess import Preprocessor
from framelane.inference.runner import Detected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import av
    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.letterbox import Crop
    from framelane.inference.postprocess import Postprocessor

    Infer = Callable[[NDArray[np.generic]], list[NDArray[np.float32]]]


class CpuRunner:
    """All stages on the thread that calls; see Runner.

    Args:
        infer: raw outputs, each [n, ...], for pictures [n, 3, h, w].
        postprocess: what makes detections of them; its head says what the pictures must be like.
        batch: most pictures in a batch.
    """

    def __init__(self, infer: Infer, postprocess: Postprocessor, batch: int) -> None:
        self._infer = infer
        self._postprocess = postprocess
        self._batch = batch
        self._preprocess = Preprocessor(postprocess.head.input, batch)

    def open(self) -> None:
        """Run some sizes once, so that the first frames don't wait for memory and code to be touched.

        The smallest and the largest, and doubles between: all of them would take minutes where batches are large.
        """
        spec = self._postprocess.head.input
        for size in sorted({*(1 << power for power in range(self._batch.bit_length())), self._batch}):
            self._infer(np.full(spec.shape(size), spec.pad * spec.scale, spec.dtype))

    def detect(
        self, pictures: list[av.VideoFrame], wanted: Sequence[ClassFilter], crops: Sequence[Crop | None]
    ) -> Detected:
        """See Runner."""
        start_s = time.perf_counter()
        tensor, letterboxes = self._preprocess(pictures, crops)
        pictures.clear()
        ready_s = time.perf_counter()
        outputs = self._infer(tensor)
        inferred_s = time.perf_counter()
        detections = self._postprocess(outputs, letterboxes, wanted)
        done_s = time.perf_counter()
        return Detected(detections, ready_s - start_s, inferred_s - ready_s, done_s - inferred_s)

    def close(self) -> None:
        """See Runner; memory goes with the object."""
