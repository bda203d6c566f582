"""Shows a stream's pictures and results to its watchers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.interfaces.tap import UnitTap

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.frames import Frame, Result


class StreamTap(UnitTap):
    """Where a stream's access units, frames and results can be seen.

    Each attribute is called on the thread that works on the stream, must return at once, and is None while
    nobody watches. Units may have several watchers, frames and results have one.
    """

    __slots__ = ("frame", "result")

    def __init__(self) -> None:
        super().__init__()
        self.frame: Callable[[Frame], None] | None = None
        """Called with each frame that is offered for inference."""
        self.result: Callable[[Result], None] | None = None
        """Called with each result."""
