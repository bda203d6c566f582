"""Infers frames on all slots of a model at once, and returns the results in their order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    import av

    from framelane.core.frames import Detections
    from framelane.inference.backends.runner import Runner
    from framelane.inference.model import Model
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Crop


class Slots:
    """A model's slots, which take batches in turn, so that two runs infer the same batches.

    Use them as a context manager, which closes the model.

    Args:
        model: the model.
        count: how many; 0 for the backend's best number.
    """

    def __init__(self, model: Model, count: int) -> None:
        # As in a daemon: OpenCV's own threads would take the slots' cores.
        cv2.setNumThreads(1)
        self.model = model
        self.count = count or model.backend.best_slots
        """How many there are."""
        self._slots = [_Slot(model.runner(model.batch)) for _ in range(self.count)]
        self._turns = cycle(self._slots)

    def __enter__(self) -> Slots:
        for opened in [slot.threads.submit(slot.runner.open) for slot in self._slots]:
            opened.result()
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            slot.threads.submit(slot.runner.close)
            slot.threads.shutdown()
        self.model.close()

    def detect(
        self, images: Sequence[av.VideoFrame], wanted: ClassFilter, crop: Crop | None
    ) -> Future[list[Detections]]:
        """Infer a batch, at most as large as the model's, on the next slot."""
        return next(self._turns).detect(list(images), wanted, crop)


class _Slot:
    """A runner and the one thread that it needs."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.threads = ThreadPoolExecutor(1)

    def detect(
        self, images: list[av.VideoFrame], wanted: ClassFilter, crop: Crop | None
    ) -> Future[list[Detections]]:
        count = len(images)
        return self.threads.submit(
            lambda: self.runner.detect(images, [wanted] * count, [crop] * count).detections
        )
