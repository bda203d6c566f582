"""Motion JPEG over RTSP is what FFmpeg makes of the same packets, live with its first picture, and never a gray one."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.odd_camera import serving
from tests.sources.pictures import fingerprint
from tests.sources.rtsp.jpeg_payloads import Jpeg, Sender, decoded, draw, header_extension

from framelane.demo.rtsp.packets import load_clip
from framelane.sources.decoding.skip_policy import Level, SkipPolicy
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.rtsp.source import RtspSource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.rogue_server import Client
    from tests.sources.conftest import Watch

COUNT = 8
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=jpeg\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\n"
"""Without an rtpmap, as cameras may for a static payload type."""
PATIENT = {"read_timeout_s": 30.0, "late_ms": 10_000}
_RTP = struct.Struct(">BBHII")


@dataclass(frozen=True)
class JpegCamera:
    """Sends these RTP packets to whoever connects, so many seconds apart, and then nothing more."""

    packets: tuple[bytes, ...]
    sdp: str = SDP
    pause_s: float = 0.0

    def __call__(self, client: Client) -> None:
        """Answer, then play."""
        client.set_up(self.sdp + "a=control:trackID=0\r\n")
        for packet in self.packets:
            client.packet(packet)
            if packet[1] & 0x80:
                client.pause(self.pause_s)
        client.pause(60.0)


def packed(pictures: list[Jpeg], sender: Sender, lost: tuple[int, ...] = ()) -> tuple[bytes, ...]:
    """RTP packets of pictures, of which some are never sent."""
    each = [packet for number, one in enumerate(pictures) for packet in sender.packets(one, number)]
    return tuple(
        _RTP.pack(0x90 if packet.extension else 0x80, 26 | packet.marked << 7, number, packet.stamp, 7)
        + packet.extension
        + packet.payload
        for number, packet in enumerate(each)
        if number not in lost
    )


def by_ffmpeg(url: str, count: int) -> list[bytes]:
    """The first pictures as FFmpeg's own depacketizer gives them."""
    # It looks into the stream before it hands anything on, and would wait for more than there is.
    unseen = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
    with av.open(url, options=unseen, timeout=20.0) as container:
        frames = []
        for frame in container.decode(video=0):
            frames.append(fingerprint(frame))
            if len(frames) == count:
                break
        return frames


PICTURES = [draw(number, (336, 248), quality=60) for number in range(COUNT)]
FORMS: dict[str, tuple[list[Jpeg], Sender]] = {
    "in band": (PICTURES, Sender(255)),
    "scaled": (PICTURES, Sender(60)),
    "known tables": (PICTURES, Sender(130, tables=(0, 1))),
    "restart markers": ([draw(n, (336, 248), quality=60, restart=7) for n in range(COUNT)], Sender(60)),
    "4:2:2": ([draw(n, (336, 248), quality=60, kind=0) for n in range(COUNT)], Sender(255, 0)),
    "4:2:2 with restart markers": (
        [draw(n, (336, 248), quality=30, kind=0, restart=21) for n in range(COUNT)],
        Sender(30, 0),
    ),
    "no multiple of 8": ([draw(n, (333, 241)) for n in range(COUNT)], Sender()),
    "one packet": ([draw(n, (64, 48)) for n in range(COUNT)], Sender(piece=1 << 15)),
    "one table": (
        [replace(p, segments=tuple(s for s in p.segments if s[0] != 0xDB or not s[1][0])) for p in PICTURES],
        Sender(),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_are_ffmpegs_own_of_the_same_packets(watch: Watch, form: str) -> None:
    pictures, sender = FORMS[form]
    with serving(JpegCamera(packed(pictures, sender), pause_s=0.04)) as server:
        camera = watch(server.url("cam"), **PATIENT)
        seen = camera.wait_for_frames(COUNT - 1)
        assert type(camera.worker._read_from) is RtspSource
        assert [each.pixels for each in seen] == by_ffmpeg(server.url("cam"), COUNT - 1)
    assert camera.dropped["decode"] == camera.dropped["late"] == 0


def recorded(folder: Path, *pipeline: str) -> tuple[bytes, ...]:
    """What GStreamer's payloader makes of its test picture: RTP packets, each behind its length (RFC 4571)."""
    launch = shutil.which("gst-launch-1.0")
    if launch is None:
        pytest.skip("gst-launch-1.0 is missing; scripts/install_test_neighbours.sh installs it")
    file = folder / "rtp"
    source = ("videotestsrc", f"num-buffers={COUNT}", "pattern=ball", "!")
    sink = ("!", "rtpstreampay", "!", "filesink", f"location={file}")
    done = subprocess.run(
        [launch, "-q", *source, *pipeline, *sink], capture_output=True, text=True, timeout=60, check=False
    )
    if "no element" in done.stderr:
        pytest.skip(f"GStreamer lacks a plugin: {done.stderr.strip()[:100]}")
    assert done.returncode == 0, done.stderr
    data, packets = file.read_bytes(), []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        packets.append(data[2:end])
        data = data[end:]
    return tuple(packets)


@pytest.mark.parametrize(
    ("form", "size"),
    [("I420", (320, 240)), ("I420", (322, 242)), ("Y42B", (320, 240)), ("I420", (2560, 64))],
)
def test_pictures_are_gstreamers(tmp_path: Path, watch: Watch, form: str, size: tuple[int, int]) -> None:
    caps = f"video/x-raw,format={form},width={size[0]},height={size[1]},framerate=25/1"
    packets = recorded(tmp_path, caps, "!", "jpegenc", "!", "rtpjpegpay")
    sdp = f"{SDP}a=x-dimensions:{size[0]},{size[1]}\r\n"
    with serving(JpegCamera(packets, sdp, pause_s=0.04)) as server:
        camera = watch(server.url("cam"), **PATIENT)
        seen = camera.wait_for_frames(COUNT)
        assert type(camera.worker._read_from) is RtspSource
        if max(size) <= 2040:
            assert [each.pixels for each in seen] == by_ffmpeg(server.url("cam"), COUNT)
        else:
            # FFmpeg takes them for pictures of no size.
            assert {(each.info.width, each.info.height) for each in seen} == {size}
            assert len({each.pixels for each in seen}) > COUNT // 2
    assert camera.dropped["decode"] == 0


def test_a_picture_that_lacks_a_packet_is_counted_and_never_shown(watch: Watch) -> None:
    packets = packed(PICTURES, Sender())
    ends = [number for number, packet in enumerate(packets) if packet[1] & 0x80]
    # In the middle of the second, the end of the fourth, the begin of the sixth.
    lost = ends[0] + 4, ends[3], ends[4] + 1
    with serving(JpegCamera(packed(PICTURES, Sender(), lost), pause_s=0.04)) as server:
        camera = watch(server.url("cam"), **PATIENT)
        seen = camera.wait_for_frames(COUNT - 3)
        assert [each.pixels for each in seen] == [
            decoded(picture.file) for number, picture in enumerate(PICTURES) if number not in (1, 3, 5)
        ]
        assert (camera.dropped["damaged"], camera.received) == (3, COUNT)


def test_a_picture_with_an_extension_has_the_size_that_it_tells(watch: Watch) -> None:
    large = [draw(number, (2560, 48)) for number in range(3)]
    sender = Sender(blocks=(0, 0))
    packets: list[bytes] = []
    for number, picture in enumerate(large):
        extension = header_extension((0xC0, picture.bodies(0xC0)[0]))
        for packet in sender.packets(picture, number, extension):
            head = _RTP.pack(
                0x90 if packet.extension else 0x80, 26 | packet.marked << 7, len(packets), packet.stamp, 7
            )
            packets.append(head + packet.extension + packet.payload)
    with serving(JpegCamera(tuple(packets))) as server:
        seen = watch(server.url("cam"), **PATIENT).wait_for_frames(3)
        assert [each.pixels for each in seen] == [decoded(picture.file) for picture in large]


def test_a_slow_camera_is_live_with_its_first_picture(tmp_path: Path, watch: Watch) -> None:
    """At two pictures per second; waiting for the second would take half a second."""
    clip = load_clip(draw_clip(tmp_path, "mjpeg", ClipShape(frames=4)))
    packets = [
        bytes(packet)
        for number, unit in enumerate(clip.units)
        for packet in unit.stamped(100 * number, 45_000 * number, 7).packets()
    ]
    with serving(JpegCamera(tuple(packets), pause_s=5.0)) as server:
        began_s = time.monotonic()
        camera = watch(server.url("cam"), **PATIENT)
        camera.wait_for_frames(1)
        took_s = time.monotonic() - began_s
        camera.first("live")
        assert (camera.received, took_s < 4.0) == (1, True)


def test_economy_leaves_out_no_picture_that_needs_no_other_and_that_no_other_needs() -> None:
    economy = SkipPolicy(5.0)
    unit = Unit(packet_of(b"x", 0, Fraction(1, 90_000)), key=True, disposable=True)
    for number in range(100):
        assert economy.wants(unit, number / 25)
        economy.late(number / 25)
    assert economy.level is not Level.REFERENCES
