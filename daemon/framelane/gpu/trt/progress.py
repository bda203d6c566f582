"""Reports a build's progress, from TensorRT's own monitor or counted from its log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from framelane.gpu.trt import versions

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[str, int, int], None]
    """Takes what the builder does, the finished steps and their total; 0 of 0 if unknown."""

_FUSED = re.compile(r"^After .*: (\d+) layers")
_TIMED = re.compile(r"Timing Runner: (.+) \(")


def monitor(trt: Any, tell: Tell) -> Any:  # noqa: ANN401 - TensorRT has no types
    """Return TensorRT's monitor of a build, for `config.progress_monitor`.

    It reports the outermost phase, and repeats its progress at each inner step, because one outer step may
    take most of the build.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._last = ("", 0, 0)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps
                self._tell(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                self._tell(phase_name, step + 1, self._steps[phase_name])
            elif self._last[0]:
                tell(*self._last)
            return True

        def phase_finish(self, phase_name: str) -> None:
            steps = self._steps.pop(phase_name, None)
            if steps is not None:
                self._tell(phase_name, steps, steps)

        def _tell(self, phase_name: str, done: int, steps: int) -> None:
            self._last = phase_name, done, steps
            tell(*self._last)

    return Monitor()


class LayerCount:
    """Counts, from the log of TensorRT 8, how many of the fused network's layers have been timed."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._total = 0
        self._timed: set[str] = set()

    def __call__(self, _severity: str, text: str) -> None:
        """Take a message."""
        fused = _FUSED.match(text)
        if fused:
            self._total = int(fused[1])
            return
        timed = _TIMED.search(text)
        if timed and timed[1] not in self._timed:
            self._timed.add(timed[1])
            # Reformats between layers are timed too, so the count may exceed the number of layers.
            self._tell("timing kernels", min(len(self._timed), self._total), self._total)


def watch(trt: Any, config: Any, tell: Tell) -> Callable[[str, str], None]:  # noqa: ANN401
    """Report a build's progress to `tell`, and return the listener for the log during the build."""
    if not versions.has_progress(trt):
        return LayerCount(tell)
    config.progress_monitor = monitor(trt, tell)
    return lambda _severity, _text: None
