"""Pictures by UDP through a network that loses, delays and repeats packets: whole ones pass, no other is shown."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.udp_relay import UdpRelay
from tests.sources.conftest import stop_all
from tests.sources.watched import WatchedCamera
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.sources.rtsp.client import Approach, open_session
from framelane.sources.rtsp.playing import Playing
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.neighbours.udp_relay import Passed
    from tests.sources.conftest import Clips

    from framelane.core.errors import SourceError
    from framelane.sources.rtsp.rtp_unit import RtpUnit

PACKETS = 1500


@pytest.fixture(scope="module")
def cameras(clips: Clips) -> Iterator[RtspServer]:
    """Those whose pictures have many packets."""
    specs = [CameraSpec(kind, clips.paths[kind]) for kind in ("large-slices", "large-hevc")]
    with RtspServer(specs) as running:
        yield running


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay on a busy host holds packets up for longer than a network does."""
    monkeypatch.setattr("framelane.sources.rtsp.reordering.WAIT_S", 1.0)


class Reader:
    """Keeps a session's units."""

    def __init__(self, url: str) -> None:
        clock = SystemClock()
        self.units: list[RtpUnit] = []
        self.faults: list[SourceError] = []
        self.reactor = Reactor(clock)
        self.session = open_session(url, 10.0, 10.0, threading.Event(), clock, Approach("udp"))
        self.playing = Playing(self.session, clock, 10.0, self.units.append, self.faults.append, early=True)
        self.reactor.add(self.playing)

    def close(self) -> None:
        self.reactor.remove(self.playing)
        self.session.close()
        assert self.reactor.stop(10.0)


def assembled(passed: list[Passed], codec: str) -> dict[int, bytes]:
    """The pictures of all packets, by time stamp."""
    units: list[RtpUnit] = []
    assembler = RtpUnits(codec, units.append)  # type: ignore[arg-type] # one of the two
    for one in passed:
        assembler.feed(one.data[12:], one.stamp, 0.0, marked=one.data[1] >= 0x80)
    return {unit.stamp: unit.data for unit in units}


def harmed(passed: list[Passed], codec: str) -> tuple[set[int], set[int], set[int]]:
    """Time stamps of pictures that lack a piece, that lack something else, and of those that may lack something.

    What is not a piece of the picture itself, such as parameter sets, may be missing of a key frame: decoders have
    it, or know that they don't. The last are those behind one that lacks something.
    """
    lost = [one for one in passed if one.lost]
    lacking = {one.stamp for one in lost if is_piece(one.data[12], codec)}
    stripped = {one.stamp for one in lost} - lacking
    harmed = lacking | stripped
    doubtful = {after.stamp for before, after in pairwise(passed) if before.stamp in harmed}
    return lacking, stripped, doubtful


def is_piece(header: int, codec: str) -> bool:
    """Whether a payload that begins so holds a slice, whole or in part (H.264 table 7-1, H.265 table 7-1)."""
    if codec == "h264":
        return header & 0x1F in {1, 5, 28}
    kind = (header >> 1) & 0x3F
    return kind < 32 or kind == 49


@pytest.mark.parametrize(("kind", "codec"), [("large-slices", "h264"), ("large-hevc", "hevc")])
def test_whole_pictures_pass_when_packets_get_lost_and_overtaken(
    cameras: RtspServer, kind: str, codec: str
) -> None:
    with UdpRelay(cameras.port, loss=0.01, late=0.05, twice=0.02) as relay:
        reader = Reader(f"rtsp://127.0.0.1:{relay.port}/{kind}")
        try:
            wait_until(lambda: len(relay.passed) >= PACKETS)
            time.sleep(0.2)
            units, passed = list(reader.units), relay.passed[:PACKETS]
        finally:
            reader.close()
    last = passed[-1].stamp
    truth = assembled(passed, codec)
    lacking, stripped, doubtful = harmed(passed, codec)
    assert len(lacking) > 3
    got = {unit.stamp: unit for unit in units}
    assert len(got) == len(units)
    for stamp, data in truth.items():
        if stamp in lacking:
            assert stamp not in got or not got[stamp].whole
        elif stamp not in stripped and stamp != last:
            # Parameter sets of a picture that had nothing else go with the next one.
            assert got[stamp].data.endswith(data)
            assert (got[stamp].whole and got[stamp].data == data) or stamp in doubtful
    assert len([unit for unit in units if unit.whole]) > 20
    assert reader.faults == []


def test_no_damaged_picture_is_shown_when_packets_get_lost(cameras: RtspServer, clips: Clips) -> None:
    truth = clips.numbers("large-slices")
    with ExitStack() as stack:
        relay = stack.enter_context(UdpRelay(cameras.port, loss=0.01, late=0.05, seed=7))
        camera = WatchedCamera(
            f"rtsp://127.0.0.1:{relay.port}/large-slices",
            transport="udp",
            reader="native",
            read_timeout_s=10.0,
            late_ms=60_000,
        )
        stack.callback(stop_all, [camera])
        camera.worker.start()
        camera.wait_for(
            lambda: camera.dropped["damaged"] > 5 and len(camera.seen) > 50, "lost pictures", 60.0
        )
        assert [seen for seen in camera.seen if seen.pixels not in truth] == []
        assert [state.state for state in camera.states if state.state == "down"] == []


def test_nothing_is_lost_when_packets_are_only_overtaken_and_repeated(
    cameras: RtspServer, clips: Clips
) -> None:
    with UdpRelay(cameras.port, late=0.1, twice=0.1, seed=3) as relay:
        reader = Reader(f"rtsp://127.0.0.1:{relay.port}/large-hevc")
        try:
            wait_until(lambda: len(relay.passed) >= PACKETS)
            wait_until(lambda: relay.reports >= 1)
            units, passed = list(reader.units), relay.passed
        finally:
            reader.close()
    truth = assembled(passed, "hevc")
    assert [unit.whole for unit in units] == [True] * len(units)
    assert [(unit.stamp, unit.data) for unit in units] == list(truth.items())[: len(units)]
