"""Runs one slot's batches on the CPU: preprocessing, inference, box decoding and suppression."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from framelane.inference.backends.runner import Detected
from framelane.models.input.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import av
    import numpy as np
    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Crop
    from framelane.models.postprocess import Postprocessor

    Infer = Callable[[NDArray[np.generic]], list[NDArray[np.float32]]]


class CpuRunner:
    """Runs all stages on the calling thread; see Runner.

    Args:
        infer: returns raw outputs, each [n, ...], for images [n, 3, h, w].
        postprocess: turns raw outputs into detections; its head describes the input images.
        batch: most images in a batch.
    """

    def __init__(self, infer: Infer, postprocess: Postprocessor, batch: int) -> None:
        self._infer = infer
        self._postprocess = postprocess
        self._batch = batch
        self._preprocess = Preprocessor(postprocess.head.input, batch)

    def open(self) -> None:
        """Run some batch sizes once, so that the first frames don't wait for memory and code to be touched.

        Powers of two up to the largest size: running every size would take minutes if batches are large.
        """
        spec = self._postprocess.head.input
        for size in sorted({*(1 << power for power in range(self._batch.bit_length())), self._batch}):
            self._infer(spec.blank(size))

    def detect(
        self,
        images: list[av.VideoFrame],
        wanted: Sequence[ClassFilter],
        crops: Sequence[Crop | None],
        pictured: Sequence[int] = (),  # noqa: ARG002 - the caller has the pixels
    ) -> Detected:
        """See Runner."""
        start_s = time.perf_counter()
        tensor, letterboxes = self._preprocess(images, crops)
        images.clear()
        ready_s = time.perf_counter()
        outputs = self._infer(tensor)
        inferred_s = time.perf_counter()
        detections = self._postprocess(outputs, letterboxes, wanted)
        done_s = time.perf_counter()
        return Detected(detections, ready_s - start_s, inferred_s - ready_s, done_s - inferred_s)

    def close(self) -> None:
        """See Runner; the memory is freed with the object."""
