"""The error that ends a benchmark."""

from __future__ import annotations

from framelane.core.errors import FramelaneError


class BenchError(FramelaneError):
    """A benchmark can't be run, or what it measured would not mean what it says."""
