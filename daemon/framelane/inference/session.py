"""ONNX Runtime on the CPU, as a function from a batch of pictures to raw outputs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import structlog

from framelane.core.errors import ModelError
from framelane.inference.artifact import ORT_ERRORS
from framelane.inference.cpu_runner import CpuRunner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.inference.artifact import Artifact
    from framelane.inference.postprocess import Postprocessor
    from framelane.inference.runner import Runner

log = structlog.get_logger(__name__)

_ERRORS_ONLY = 3


class OnnxSession:
    """One loaded model; any number of threads may call `run` at once, each on its own core.

    Throughput comes from calling it on several threads, not from threads inside: two calls with one thread
    each do 1.4 times the work of one with two, and spinning threads burn the decoders' time. One session
    serves all callers as fast as a session each would, and holds the weights once. The arena keeps memory
    flat; memory patterns are off: every batch size gets one, and they took 25 MB more at the same speed.

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
                str(artifact.path), options, providers=["CPUExecutionProvider"]
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

    @property
    def best_batch(self) -> int:
        """What the file fixes, or 1: on a CPU larger batches add latency and memory, and no throughput."""
        return self._artifact.batch or 1

    @property
    def best_slots(self) -> int:
        """One a core: a second core works better on a second batch than on the same one."""
        return len(os.sched_getaffinity(0))

    @property
    def best_waiting(self) -> int:
        """One frame a stream: where a CPU is overloaded, which it soon is, nothing keeps latency lower."""
        return 1

    def runner(self, postprocess: Postprocessor, _classes: int, batch: int) -> Runner:
        """A slot's runner around this session."""
        return CpuRunner(self.run, postprocess, batch)

    def close(self) -> None:
        """Nothing: memory goes with the object."""

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Outputs, each [n, ...], for pictures [n, 3, h, w] of the input's type.

        A file with a fixed batch is run as often as that takes, the last time padded. Half-precision outputs
        come back as float32: NumPy compares halves one by one.

        Raises:
            ModelError: the model can't take these pictures.
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
        try:
            outputs = self._session.run(None, {self._artifact.image.name: batch})
        except ORT_ERRORS as error:
            raise ModelError(
                f"{self._artifact.path} can't run {batch.dtype} {list(batch.shape)}: {_first_line(error)}"
            ) from error
        return [np.asarray(output, np.float32) for output in outputs]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].removeprefix("[ONNXRuntimeError] : ")
