"""Splits batches that are larger than the model can run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.inference.backends.runner import Detected

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av

    from framelane.inference.backends.runner import Runner
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Crop


class SplitBatches:
    """Passes batches to another runner in parts; see Runner.

    Args:
        runner: runs each part.
        most: most images in a part.
    """

    def __init__(self, runner: Runner, most: int) -> None:
        self._runner = runner
        self._most = most

    def open(self) -> None:
        """See Runner."""
        self._runner.open()

    def detect(
        self,
        images: list[av.VideoFrame],
        wanted: Sequence[ClassFilter],
        crops: Sequence[Crop | None],
        pictured: Sequence[int] = (),
    ) -> Detected:
        """See Runner; the times are summed over all parts."""
        parts = []
        for start in range(0, len(images), self._most):
            part = slice(start, start + self._most)
            parts.append(self._runner.detect(images[part], wanted[part], crops[part], pictured[part]))
        images.clear()
        return Detected(
            [found for part in parts for found in part.detections],
            sum(part.preprocess_s for part in parts),
            sum(part.infer_s for part in parts),
            sum(part.postprocess_s for part in parts),
            {
                number * self._most + place: copy
                for number, part in enumerate(parts)
                for place, copy in part.copies.items()
            },
            max((part.copy_bytes for part in parts), default=0),
        )

    def close(self) -> None:
        """See Runner."""
        self._runner.close()
