"""A page or a clip can begin at any key unit: bytes, times and parameter sets are at hand, and nothing is copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import av
import pytest
from tests.sources.pictures import fingerprint
from tests.waiting import wait_until

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.source import RtspSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sources.conftest import Clips

    from framelane.demo.rtsp import RtspServer
    from framelane.sources.interfaces.units import Unit

COUNT = 60


def read(url: str) -> list[Unit]:
    """The units that our own reader hands on."""
    clock, units = SystemClock(), list[Any]()
    reactor = Reactor(clock)

    def put(unit: Unit) -> bool:
        units.append(unit)
        return False

    parts = SourceParts(clock, Meters().stream("cam"))
    try:
        with RtspSource(url, StreamOptions(), parts, reactor) as source:
            source.start(put)
            wait_until(lambda: len(units) >= COUNT)
    finally:
        reactor.stop(10.0)
    return list(units)


@pytest.fixture(scope="module", params=["h264", "hevc", "in-band", "mjpeg"])
def live(request: pytest.FixtureRequest, server: RtspServer) -> tuple[str, list[Unit]]:
    name: str = request.param
    return name, read(server.url(name))


def decoded(codec: str, units: list[Unit]) -> Iterator[bytes]:
    """Pictures by a decoder that knows nothing but the first unit's parameter sets."""
    decoder = cast("Any", av.CodecContext.create(codec, "r"))
    if units[0].extradata:
        decoder.extradata = units[0].extradata
    for unit in units:
        yield from (fingerprint(frame) for frame in decoder.decode(av.Packet(bytes(memoryview(unit.packet)))))


def test_decoding_can_begin_at_each_key_unit_with_what_it_brings(
    live: tuple[str, list[Unit]], clips: Clips
) -> None:
    name, units = live
    codec = "h264" if name == "in-band" else name
    numbers = clips.numbers(codec)
    keys = [number for number, unit in enumerate(units) if unit.key]
    assert len(keys) >= 2
    for key in keys:
        assert {picture in numbers for picture in decoded(codec, units[key : key + 5])} == {True}
    assert [unit.packet.pts for unit in units] == sorted({cast("int", unit.packet.pts) for unit in units})
    assert all(unit.arrival is not None and unit.whole for unit in units)


def test_units_share_their_parameter_sets_and_lend_their_bytes(live: tuple[str, list[Unit]]) -> None:
    name, units = live
    # In band they come with the first key frame.
    units = units[next(number for number, unit in enumerate(units) if unit.key) :]
    assert bool(units[0].extradata) == (name != "mjpeg")
    assert {id(unit.extradata) for unit in units} == {id(units[0].extradata)}
    view = memoryview(units[0].packet)
    assert view.nbytes == units[0].packet.size > 0
    assert view.obj is units[0].packet


def test_units_of_files_have_the_parameter_sets_that_the_file_declares(clips: Clips) -> None:
    path: Path = clips.paths["h264"]
    with ContainerSource(
        str(path), StreamOptions(), SourceParts(SystemClock(), Meters().stream("cam"))
    ) as source:
        units = [unit for unit, _ in zip(source.units(), range(5), strict=False)]
    with av.open(str(path)) as container:
        assert units[0].extradata == container.streams.video[0].codec_context.extradata
    assert {id(unit.extradata) for unit in units} == {id(units[0].extradata)}
