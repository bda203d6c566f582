"""ONNX Runtime on the CPU, as a function from a batch of images to raw outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import structlog

from framelane.core.errors import ModelError
from framelane.models.artifact import ORT_ERRORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.artifact import Artifact

log = structlog.get_logger(__name__)

_ERRORS_ONLY = 3
MOST_LISTED = 1000


class OnnxSession:
    """One loaded model. Any number of threads may call `run` at once, each on its own core.

    Throughput comes from several calling threads, not from threads inside a call: two calls with one thread
    each do 1.4 times the work of one call with two, and spinning threads take the decoders' time. One session
    serves all callers as fast as a session each would, and holds the weights once. The arena keeps memory
    flat. Memory patterns are off: each batch size gets one, and they took 25 MB more at the same speed.

    Args:
        artifact: the model file.
        threads: threads inside one call.
    """

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                artifact.loadable, options, providers=["CPUExecutionProvider"]
            )
        except ORT_ERRORS as error:
            raise ModelError(
                f"{artifact.path} can't be loaded by ONNX Runtime: {_first_line(error)}"
            ) from error
        self._artifact = artifact
        if artifact.batch not in (None, 1):
            log.warning(
                "model_batch_fixed",
                path=str(artifact.path),
                batch=artifact.batch,
                remedy="incomplete batches are padded; export with a dynamic batch to save that work",
            )

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Return the outputs, each [n, ...], for images [n, 3, h, w] of the input's type.

        A file with a fixed batch runs as often as needed, the last time padded. Half-precision outputs are
        returned as float32, because NumPy compares halves one by one.

        Raises:
            ModelError: the model can't process these images.
        """
        fixed = self._artifact.batch
        if fixed is None or fixed == len(batch):
            return self._call(batch)
        parts = [self._padded(batch[start : start + fixed], fixed) for start in range(0, len(batch), fixed)]
        return [np.concatenate(chunks)[: len(batch)] for chunks in zip(*parts, strict=True)]

    def _padded(self, part: NDArray[np.generic], fixed: int) -> list[NDArray[np.float32]]:
        if len(part) < fixed:
            part = np.concatenate([part, np.zeros((fixed - len(part), *part.shape[1:]), part.dtype)])
        return self._call(part)

    def _call(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        inputs = {self._artifact.image.name: batch}
        sizes = self._artifact.sizes
        if sizes is not None:
            inputs[sizes.name] = sizes_of(batch, sizes.dtype)
        try:
            outputs = self._session.run(None, inputs)
        except ORT_ERRORS as error:
            raise ModelError(
                f"{self._artifact.path} can't run {batch.dtype} {list(batch.shape)}: {_first_line(error)}"
            ) from error
        arrays = [np.asarray(output, np.float32) for output in outputs]
        specs = self._artifact.outputs
        return [
            divided(array, len(batch)) if self._artifact.lists_all(spec) else array
            for array, spec in zip(arrays, specs, strict=True)
        ]


def sizes_of(batch: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """Return width and height [n, 2] of images [n, 3, h, w].

    Models that scale boxes to them then give pixels of the input, as all others do.
    """
    return np.tile(np.array([batch.shape[3], batch.shape[2]], dtype), (len(batch), 1))


def divided(rows: NDArray[np.float32], images: int) -> NDArray[np.float32]:
    """Return rows [K, 7] that begin with an image's number as [n, 1000, 6], for each image; the rest is 0."""
    found = np.zeros((images, MOST_LISTED, rows.shape[1] - 1), np.float32)
    for image in range(images):
        own = rows[rows[:, 0] == image, 1:][:MOST_LISTED]
        found[image, : len(own)] = own
    return found


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].removeprefix("[ONNXRuntimeError] : ")
