"""Tells when the demo's figures are valid: after loading, connecting and the first backlog."""

from __future__ import annotations

_STEADY_WINDOWS = 3
_TOLERANCE = 0.15
_MOST_WINDOWS = 20


class WarmUp:
    """Watches the table's windows until their rate has become steady."""

    def __init__(self) -> None:
        self.over = False
        """Whether the figures are valid."""
        self._rate: float | None = None
        self._steady = 0
        self._live = 0

    def see(self, fps_inferred: float, *, all_live: bool) -> None:
        """Take a window.

        Args:
            fps_inferred: of all streams together.
            all_live: whether every stream was live at its end.
        """
        if not all_live:
            self._rate, self._steady, self._live = None, 0, 0
            return
        near = self._rate is not None and abs(fps_inferred - self._rate) <= _TOLERANCE * self._rate
        self._steady = self._steady + 1 if near else 0
        self._rate = fps_inferred
        self._live += 1
        # A machine too busy for a steady rate shows its figures in the end anyway.
        self.over = self.over or self._steady >= _STEADY_WINDOWS or self._live >= _MOST_WINDOWS
