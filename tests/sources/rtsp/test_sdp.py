"""Session descriptions as cameras write them."""

from __future__ import annotations

from base64 import b64encode

import pytest

from framelane.core.errors import SourceError
from framelane.sources.codecs.nal_units import START_CODE
from framelane.sources.rtsp.errors import UnsupportedError
from framelane.sources.rtsp.sdp import Description, VideoMedia, control_urls, find_video

SPS, PPS = bytes.fromhex("6742c01e"), bytes.fromhex("68ce3c80")
VPS5, SPS5, PPS5 = bytes.fromhex("40010c01"), bytes.fromhex("42010101"), bytes.fromhex("4401c0f7")


def coded(*units: bytes) -> str:
    return ",".join(b64encode(unit).decode() for unit in units)


def described(*lines: str, end: str = "\r\n") -> bytes:
    return "".join(line + end for line in ("v=0", "s=x", *lines)).encode()


def media(*lines: str, end: str = "\r\n") -> VideoMedia:
    found = find_video(described(*lines, end=end))
    assert found is not None
    return found.video


def test_video_is_found_when_audio_and_metadata_surround_it() -> None:
    found = find_video(
        described(
            "a=control:*",
            "m=audio 0 RTP/AVP 0",
            "a=control:audio",
            "m=application 0 RTP/AVP 107",
            "a=rtpmap:107 vnd.onvif.metadata/90000",
            "nonsense",
            "m=video 0 RTP/AVP 26",
            "a=control:jpeg",
            "m=video 0 RTP/AVP 97 98",
            "b=AS:5000",
            "a=rtpmap:98 h265/90000",
            f"a=fmtp:98 sprop-vps={coded(VPS5)};sprop-sps={coded(SPS5)}; SPROP-PPS={coded(PPS5)}",
            "a=framerate:15",
            "a=control:video",
            "m=video 0 RTP/AVP 96",
            "a=rtpmap:96 H264/90000",
            end="\n",
        )
    )
    extradata = START_CODE + VPS5 + START_CODE + SPS5 + START_CODE + PPS5
    assert found == Description(VideoMedia("hevc", 98, 90_000, extradata, 15.0, None, 1, 3), "video", "*")


def test_video_that_is_sendonly_counts_when_there_is_no_other() -> None:
    one = ("m=video 0 RTP/AVP 96", "a=sendonly", "a=rtpmap:96 H264/90000")
    other = ("m=video 0 RTP/AVP 97", "a=recvonly", "a=rtpmap:97 H264/90000")
    assert media(*one).payload_type == 96
    assert media(*one, *other).payload_type == 97


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (coded(SPS, PPS), START_CODE + SPS + START_CODE + PPS),
        (coded(SPS, PPS).replace("=", ""), START_CODE + SPS + START_CODE + PPS),
        (coded(START_CODE + SPS), START_CODE + SPS),
        (f"!!!!,,{coded(PPS)}", START_CODE + PPS),
        (coded(b"\x65\x88"), b""),
        ("", b""),
    ],
)
def test_parameter_sets_are_read_when_they_can_be(sets: str, expected: bytes) -> None:
    fmtp = f"a=fmtp:96 packetization-mode=1;profile-level-id=42C01E; sprop-parameter-sets={sets}"
    assert media("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", fmtp).extradata == expected


@pytest.mark.parametrize(
    ("fmtp", "codec"),
    [("packetization-mode=1", "h264"), (f"sprop-sps={coded(SPS5)}", "hevc")],
)
def test_codec_is_known_when_the_rtpmap_is_missing(fmtp: str, codec: str) -> None:
    assert media("m=video 0 RTP/AVP 96", f"a=fmtp:96 {fmtp}").codec == codec


@pytest.mark.parametrize("rate", ["0", "-5", "nan", "inf", "1e308", "fast", ""])
def test_rate_is_unknown_when_it_makes_no_sense(rate: str) -> None:
    assert media("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/x", f"a=framerate:{rate}").fps is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("m=video 0 RTP/AVP 31",), "the video is H261"),
        (("m=video 0 RTP/AVP 96",), "the video is payload type 96"),
        (("m=video 0 RTP/AVP 96", "a=rtpmap:96 VP8/90000"), "the video is VP8"),
        (("m=video 0 RTP/AVP",), "the video is of no known format"),
        (("m=video 0",), "the video is not sent as plain RTP"),
        (("m=video 0 RTP/SAVP 96", "a=rtpmap:96 H264/90000"), "the video is not sent as plain RTP"),
        (
            ("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=2"),
            r"the video is interleaved \(packetization-mode 2\)",
        ),
        (
            ("m=video 0 RTP/AVP 96", "a=rtpmap:96 H265/90000", "a=fmtp:96 sprop-max-don-diff=2"),
            r"the video is interleaved \(sprop-max-don-diff\)",
        ),
    ],
)
def test_video_is_left_to_ffmpeg_when_it_is_unusual(lines: tuple[str, ...], why: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^{why}$"):
        find_video(described(*lines))


def test_no_video_is_found_when_there_is_none() -> None:
    assert find_video(described("m=audio 0 RTP/AVP 0")) is None
    assert find_video(b"\xff\x00") is None


@pytest.mark.parametrize(
    ("session", "control", "expected"),
    [
        ("", "", ("rtsp://h/p", "rtsp://h/p")),
        ("*", "*", ("rtsp://h/p", "rtsp://h/p")),
        ("*", "t=1", ("rtsp://h/p", "rtsp://h/p/t=1")),
        ("*", "/t=1", ("rtsp://h/p", "rtsp://h/p/t=1")),
        ("rtsp://o/all", "t=1", ("rtsp://o/all", "rtsp://o/all/t=1")),
        ("rtsp://o/all", "rtsp://u:p@o/all/x y", ("rtsp://o/all", "rtsp://o/all/x%20y")),
    ],
)
def test_controls_become_urls(session: str, control: str, expected: tuple[str, str]) -> None:
    description = Description(VideoMedia("h264", 96, 90_000, b"", None), control, session)
    assert control_urls(description, "rtsp://h/p") == expected


SMALL = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg=="  # 240x160
"""Parameter sets as cameras send them."""


def sized(payload_type: int, size: str, *more: str) -> list[str]:
    return [
        f"m=video 0 RTP/AVP {payload_type}",
        f"a=rtpmap:{payload_type} H264/90000",
        f"a=x-dimensions:{size}",
        f"a=control:{size}",
        *more,
    ]


def chosen(*lines: str, number: int | None = None) -> tuple[str, int, int]:
    found = find_video(described(*lines), number)
    assert found is not None
    return found.control, found.video.number, found.video.videos


def test_the_largest_video_is_read_when_all_sizes_are_known() -> None:
    lines = [*sized(96, "640,360"), *sized(97, "2560,1440"), *sized(98, "1920,1080")]
    assert chosen(*lines) == ("2560,1440", 1, 3)
    assert chosen(*lines, "m=audio 0 RTP/AVP 0", "a=x-dimensions:9999,9999") == ("2560,1440", 1, 3)


def test_the_first_video_is_read_when_a_size_is_not_known() -> None:
    unknown = ["m=video 0 RTP/AVP 99", "a=rtpmap:99 H265/90000", "a=control:unknown"]
    assert chosen(*sized(96, "640,360"), *unknown) == ("640,360", 0, 2)
    assert chosen(*unknown, *sized(96, "640,360")) == ("unknown", 0, 2)
    jpeg = ["m=video 0 RTP/AVP 26", "a=control:jpeg"]
    assert chosen(*jpeg, *sized(96, "640,360")) == ("640,360", 1, 2)
    assert chosen(*jpeg, "a=x-dimensions:1280,720", *sized(96, "640,360")) == ("jpeg", 0, 2)


def test_what_cannot_be_read_is_never_the_largest() -> None:
    exotic = ["m=video 0 RTP/AVP 99", "a=rtpmap:99 EXOTIC/90000", "a=x-dimensions:3840,2160"]
    back = sized(98, "3840,2160", "a=sendonly")
    assert chosen(*exotic, *sized(96, "640,360"), *back) == ("640,360", 1, 3)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_video_is_read_by_its_number(number: int) -> None:
    lines = ["m=audio 0 RTP/AVP 0", *sized(96, "640,360"), "m=application 0 RTP/AVP 107"]
    lines += [*sized(97, "2560,1440"), *sized(98, "1920,1080", "a=sendonly")]
    assert chosen(*lines, number=number)[1:] == (number, 3)


def test_a_number_that_no_video_has_is_told() -> None:
    with pytest.raises(
        SourceError, match="there is no `video: 1`; the first one is 0, and the last 0"
    ) as caught:
        find_video(described(*sized(96, "640,360")), 1)
    assert caught.value.reason == "no-video"
    assert find_video(described("m=audio 0 RTP/AVP 0"), 1) is None


def test_a_video_with_that_number_is_left_to_ffmpeg_when_it_is_unusual() -> None:
    with pytest.raises(UnsupportedError, match="EXOTIC"):
        find_video(described(*sized(96, "640,360"), "m=video 0 RTP/AVP 99", "a=rtpmap:99 EXOTIC/90000"), 1)


@pytest.mark.parametrize(
    ("lines", "size_wh"),
    [
        ((f"a=fmtp:96 sprop-parameter-sets={SMALL}", "a=x-dimensions:9,9"), (240, 160)),
        ((f"a=fmtp:96 sprop-parameter-sets={coded(b'g')}", "a=x-dimensions:640,360"), (640, 360)),
        (("a=x-dimensions: 2592 , 1944",), (2592, 1944)),
        (("a=framesize:96 1280-720",), (1280, 720)),
        (("a=framesize:97 1280-720",), None),
        (("a=x-dimensions:0,0",), None),
        (("a=x-dimensions:99999,1",), None),
        (("a=x-dimensions:\u0661,\u0661",), None),
        (("a=x-dimensions:640",), None),
        ((), None),
    ],
)
def test_size_is_the_parameter_sets_or_an_attribute(
    lines: tuple[str, ...], size_wh: tuple[int, int] | None
) -> None:
    assert media("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", *lines).size_wh == size_wh


def test_jpeg_needs_no_rtpmap() -> None:
    assert media("m=video 0 RTP/AVP 26") == VideoMedia("mjpeg", 26, 90_000, b"", None)
    other = media("m=video 0 RTP/AVP 98", "a=rtpmap:98 jpeg/90000", "a=x-dimensions:2560,1920")
    assert other == VideoMedia("mjpeg", 98, 90_000, b"", None, (2560, 1920))
