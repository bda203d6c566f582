"""Tries a model on batches, to find the sizes in which every image gets its own detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.core.errors import ModelError
from framelane.models.trial import as_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from framelane.models.trial import Run, Trial

    Array = NDArray[np.float32]

# The share by which an image's confidences may differ in a batch from those alone: an engine uses other
# kernels for other batch sizes. With another image's confidences, or none at all, the difference is far
# larger.
_MOST_APART = 0.5
_STEP = 4


class BatchTrial:
    """The batch sizes that a model handles, each tried at most once.

    Args:
        run: the model: returns raw outputs for images [n, 3, h, w].
        trial: its outputs for single trial images.
        fixed: the batch size that its file fixes; None if it is dynamic.
    """

    def __init__(self, run: Run, trial: Trial, fixed: int | None = None) -> None:
        self.doubt: str | None = None
        """Why batches are smaller than requested, in a sentence."""
        self._run = run
        self._head = trial.head
        self._model = trial.sample.model
        self._output = str(trial.sample.outputs[trial.head.output])
        self._alone = [self._confidences(outputs)[0] for outputs in trial.sample.trials]
        # A fixed batch size was chosen at export. A model that finds nothing can't show that it fails.
        self._unseen = not (trial.head.overlapping or any(alone.any() for alone in self._alone))
        self._sound = fixed if fixed is not None and self._unseen else 1
        self._limited = False

    def most(self, wanted: int) -> int:
        """Return the largest batch size, up to `wanted`, in which every image gets its own detections.

        Raises:
            ModelError: a batch can't be run, or gives more or fewer rows than images.
        """
        sizes = [] if self._limited else list(_sizes(self._sound, wanted))
        pictures = as_input(self._head.input) if sizes and not self._unseen else None
        for size in sizes:
            self._limited = not self._handles(size, pictures)
            if self._limited:
                break
            self._sound = size
        return min(wanted, self._sound)

    def _handles(self, size: int, pictures: NDArray[np.generic] | None) -> bool:
        if pictures is None:
            self.doubt = (
                f"{self._output} holds no detections for any trial picture, so batches stay at {self._sound}"
            )
            return False
        # Two images that both show a street could be mistaken for each other.
        firsts = (0, 2) if size < len(self._alone) else (0,)
        if all(self._is_as_alone(size, first, pictures) for first in firsts):
            return True
        self.doubt = (
            f"in a batch of {size} pictures, {self._output} holds other detections for a picture than for the same "
            f"picture alone, so batches stay at {self._sound}; "
            "export the model without suppression (NMS) in the graph, or with a dynamic batch"
        )
        return False

    def _is_as_alone(self, size: int, first: int, pictures: NDArray[np.generic]) -> bool:
        """Return whether a batch of trial images, from `first` on, gives the same as each image alone."""
        turns = [(first + number) % len(self._alone) for number in range(size)]
        found = self._batch(pictures[turns])
        return all(
            _apart(self._alone[turn], each) <= _MOST_APART for turn, each in zip(turns, found, strict=True)
        )

    def _batch(self, pictures: NDArray[np.generic]) -> list[Array]:
        remedy = f"set `batch: {self._sound}`, or export the model with a dynamic batch"
        try:
            outputs = self._run(pictures)
        except ModelError as error:
            raise ModelError(f"{error}; {remedy}") from error
        read = outputs[self._head.output]
        if len(read) != len(pictures):
            raise ModelError(
                f"{self._model}: {self._output} becomes {list(read.shape)} for {len(pictures)} pictures, "
                f"not one row for each; {remedy}"
            )
        return self._confidences(outputs)

    def _confidences(self, outputs: list[Array]) -> list[Array]:
        """Return the confidences of each image of a batch, in rising order."""
        found = np.nan_to_num(self._head.raw(outputs).confidence, nan=0.0, posinf=0.0, neginf=0.0)
        return list(np.sort(found, axis=1))


def _sizes(tried: int, wanted: int) -> Iterator[int]:
    """Yield 2, 4, 16, 64, ... above what was tried and below `wanted`, then `wanted` itself."""
    size = 2
    while size < wanted:
        if size > tried:
            yield size
        size = size * 2 if size < _STEP else size * _STEP
    if wanted > tried:
        yield wanted


def _apart(alone: Array, together: Array) -> float:
    """Return the share by which an image's confidences differ; infinite if only one side has any."""
    length = max(len(alone), len(together))
    one, other = (np.pad(each, (length - len(each), 0)) for each in (alone, together))
    apart, magnitude = float(np.abs(one - other).sum()), float(np.abs(one).sum())
    if not magnitude:
        return np.inf if apart else 0.0
    return apart / magnitude
