"""What a source gets from its stream, whatever its protocol."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framelane.sources.decoding.decoder import ON_CPU

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.sources.decoding.decoder import DecoderChoice
    from framelane.telemetry.meters import StreamMeter


def ignore_fallback(_why: str) -> None:
    """Ignore a fallback to the CPU, which decodes anyway."""


@dataclass(frozen=True, slots=True)
class SourceParts:
    """The parts of a stream that its source uses.

    Attributes:
        clock: the clock.
        meter: counts pictures.
        choice: the decoder to use.
        fell_back: called with the reason if NVDEC was chosen but the CPU decodes.
        stopping: once set, opening and reading end.
    """

    clock: Clock
    meter: StreamMeter
    choice: DecoderChoice = ON_CPU
    fell_back: Callable[[str], None] = ignore_fallback
    stopping: threading.Event = field(default_factory=threading.Event)
