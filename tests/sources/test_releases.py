"""What a connection held goes with it, and does not wait for the garbage collector: a decoder is tens of megabytes."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.live_decoding import LiveDecoding
from framelane.sources.rtsp.source import RtspSource

if TYPE_CHECKING:
    from tests.sources.conftest import Watch

    from framelane.demo.rtsp import RtspServer


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_connection_that_was_lost_leaves_nothing(
    server: RtspServer, watch: Watch, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    made: list[weakref.ref[object]] = []
    for kind in (UnitDecoder, LiveDecoding, RtspSource):
        make = kind.__init__

        def noting(self: object, *arguments: object, make: object = make, **options: object) -> None:
            made.append(weakref.ref(self))
            make(self, *arguments, **options)  # type: ignore[operator]

        monkeypatch.setattr(kind, "__init__", noting)
    gc.collect()
    gc.disable()
    try:
        camera = watch(server.url("restart"), transport=transport)
        camera.wait_for_frames(5)
        before = len(made)
        server.camera("restart").kill()
        server.camera("restart").revive()
        camera.wait_for(lambda: len(made) >= 2 * before, "another connection")
        wait_until(lambda: sum(each() is not None for each in made) <= before)
    finally:
        gc.enable()
