"""ONNX Runtime on the CPU as a model's backend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from framelane.inference.backends.cpu.runner import CpuRunner
from framelane.models.onnx_session import OnnxSession

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from framelane.inference.backends.runner import Runner
    from framelane.models.artifact import Artifact
    from framelane.models.postprocess import Postprocessor


class OnnxRuntimeBackend:
    """An ONNX Runtime session that serves all slots; see Backend.

    Args:
        artifact: the model file.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._session = OnnxSession(artifact)
        self.best_batch = artifact.batch or 1
        """The file's fixed batch size, else 1: on a CPU larger batches add latency and memory, not throughput."""
        self.best_slots = len(os.sched_getaffinity(0))
        """One slot per core: a second core works better on a second batch than on the same one."""
        self.best_waiting = 1
        """One frame per stream: a CPU is soon overloaded, and this keeps latency lowest."""

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """See Backend."""
        return self._session.run(batch)

    def runner(self, postprocess: Postprocessor, _classes: int, batch: int) -> Runner:
        """See Backend."""
        return CpuRunner(self._session.run, postprocess, batch)

    def close(self) -> None:
        """Do nothing: the memory is freed with the object."""
