"""The errors that end a measurement."""

from __future__ import annotations

from framelane.core.errors import FramelaneError


class BenchError(FramelaneError):
    """A benchmark can't be run, or its result would be misleading."""


class InputError(FramelaneError):
    """Something that the command line names can't be used."""

    exit_code = 2
