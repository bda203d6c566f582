"""Reads and decodes a live source, independent of its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.sources.decoding.unit_decoder import UnitDecoder
    from framelane.sources.interfaces.source import Decoded
    from framelane.sources.interfaces.units import Unit


class LiveSource(Protocol):
    """An open source that shows the present. The thread that opened it also reads it."""

    @property
    def decoder(self) -> UnitDecoder:
        """Decodes the units of `units`."""
        ...

    @property
    def paced(self) -> bool:
        """Whether pictures arrive one by one. Otherwise they arrive in segments and have to be paced."""
        ...

    @property
    def news(self) -> bool | None:
        """Whether new video has come since the source was opened; None if the source can't tell."""
        ...

    @property
    def behind(self) -> bool:
        """Whether more video waits than segments explain."""
        ...

    def units(self) -> Iterator[Unit]:
        """Yield access units up to a discontinuity or the end. Raise SourceError if the source breaks."""
        ...

    def advance(self) -> bool:
        """Continue after a discontinuity with a new `decoder`; return False if nothing follows."""
        ...

    def check_end(self) -> None:
        """Raise SourceError with the reason why the source has ended."""
        ...


def live_pictures(source: LiveSource) -> Iterator[Decoded]:
    """Read and decode a live source on this thread, without pacing, until it ends."""
    while True:
        for unit in source.units():
            yield from source.decoder.decode(unit)
        yield from source.decoder.drain()
        if not source.advance():
            break
    source.check_end()
