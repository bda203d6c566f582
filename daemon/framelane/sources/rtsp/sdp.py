"""Finds the video in a session description (RFC 8866; fmtp: RFC 6184 section 8.1, RFC 7798 section 7.1)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field, replace
from typing import Literal

from framelane.core.errors import SourceError
from framelane.sources.codecs.nal_units import START_CODE
from framelane.sources.codecs.parameter_sets import SPS, NalCodec, kind_of_nal, picture_size
from framelane.sources.rtsp.address import without_login
from framelane.sources.rtsp.errors import UnsupportedError

Codec = Literal["h264", "hevc", "mjpeg"]

_CODECS: dict[str, Codec] = {"H264": "h264", "H265": "hevc", "HEVC": "hevc", "JPEG": "mjpeg"}
_SPROPS: dict[NalCodec, tuple[str, ...]] = {
    "h264": ("sprop-parameter-sets",),
    "hevc": ("sprop-vps", "sprop-sps", "sprop-pps"),
}
_PARAMETER_SETS: dict[NalCodec, range] = {"h264": range(7, 9), "hevc": range(32, 35)}
"""NAL unit types of parameter sets (H.264 table 7-1, H.265 table 7-1)."""
_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF", "RTP/AVP/TCP", "RTP/AVP/UDP"})
_CLOCK_RATE = 90_000
_STATIC = {"26": "JPEG", "31": "H261", "32": "MPV", "33": "MP2T", "34": "H263"}
"""RFC 3551 table 5."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MOST_PAYLOAD_TYPE = 127
_MOST_FORMATS = 16
_MOST_NAME = 32
_MOST_FPS = 1000.0
_MOST_SIDE = 1 << 16
_DIMENSIONS = re.compile(r"(\d{1,5})\s*[,-]\s*(\d{1,5})")


@dataclass(frozen=True, slots=True)
class VideoMedia:
    """The video that a session plays.

    Attributes:
        codec: FFmpeg's name.
        payload_type: RTP payload type, 0 to 127.
        clock_rate: ticks of the RTP time stamp per second.
        extradata: parameter sets with start codes (Annex B); empty if they come in band only.
        fps: pictures per second that the description promises; None if it does not.
        size_wh: width and height in pixels from the parameter sets or an attribute; None if unknown.
        number: index of this video among the session's videos, from 0.
        videos: how many videos the session has.
    """

    codec: Codec
    payload_type: int
    clock_rate: int
    extradata: bytes
    fps: float | None
    size_wh: tuple[int, int] | None = None
    number: int = 0
    videos: int = 1


@dataclass(frozen=True, slots=True)
class Description:
    """The video to set up, its `a=control`, and the session's `a=control`. Both are empty if not given."""

    video: VideoMedia
    control: str
    session_control: str


@dataclass(slots=True)
class _Section:
    """A media description: its m= line and its attributes in order."""

    line: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str:
        return next((value for known, value in self.attributes if known == name), "")

    def of_format(self, name: str, payload_type: str) -> str:
        """Return the value of a `name:<payload type> value` attribute."""
        pairs = (value.split(None, 1) for known, value in self.attributes if known == name)
        return next((pair[1] for pair in pairs if len(pair) > 1 and pair[0] == payload_type), "")

    def says(self, name: str) -> bool:
        return any(known == name for known, _ in self.attributes)


def find_video(body: bytes, number: int | None = None) -> Description | None:
    """Return the video to read; None if the description has no video.

    If the sizes of all readable videos are known, the largest is chosen, else the first. Motion JPEG is
    chosen only if there is nothing else. Audio, metadata and back channels are ignored. Some servers mark the
    video that they send as "sendonly", which usually marks a back channel. Such a video is used if there is
    no other.

    Args:
        body: the session description.
        number: which of its videos to read, from 0; None for the most suitable.

    Raises:
        UnsupportedError: there is video, but none that this reader supports.
        SourceError: there are videos, but none with this number.
    """
    session, *media = _sections(body)
    videos = list(enumerate(one for one in media if one.line.lower().startswith("video ")))
    if number is not None and videos and number >= len(videos):
        text = f"there is no `video: {number}`; the first one is 0, and the last {len(videos) - 1}"
        raise SourceError("no-video", text)
    sections = dict(videos if number is None else videos[number : number + 1])
    found, faults = {}, []
    for place, section in sections.items():
        try:
            found[place] = _video(section)
        except UnsupportedError as error:
            faults.append(error)
    if not found:
        if faults:
            raise faults[0]
        return None
    chosen = _best(found, {place for place in found if _is_back_channel(sections[place])})
    video = replace(found[chosen], number=chosen, videos=len(videos))
    return Description(video, sections[chosen].first("control"), session.first("control"))


def _best(found: dict[int, VideoMedia], last: set[int]) -> int:
    """Return the index of the video to read."""
    places = [place for place in found if place not in last] or list(found)
    sizes = {place: found[place].size_wh for place in places}
    areas = {place: size[0] * size[1] if size else 0 for place, size in sizes.items()}
    known = all(areas.values())
    return min(
        places, key=lambda place: (-areas[place] if known else 0, found[place].codec == "mjpeg", place)
    )


def _is_back_channel(section: _Section) -> bool:
    return section.says("sendonly") or section.says("inactive")


def control_urls(description: Description, base: str) -> tuple[str, str]:
    """Return the URLs for PLAY (the session) and SETUP (the video), by RFC 2326 appendix C.1.1.

    A relative control is appended to the base, as FFmpeg and most servers do. Strict RFC 1808 would replace
    the last path segment of a base without a trailing slash.

    Args:
        description: of the session.
        base: Content-Base, Content-Location or the request's URL.
    """
    whole = description.session_control
    session = without_login(whole if _SCHEME.match(whole) else base)
    control = description.control
    if control in {"", "*"}:
        return session, session
    if _SCHEME.match(control):
        return session, without_login(control)
    return session, without_login(f"{session.rstrip('/')}/{control.lstrip('/')}")


def _sections(body: bytes) -> list[_Section]:
    sections = [_Section()]
    for line in body.decode("utf-8", "replace").splitlines():
        kind, equals, value = line.strip().partition("=")
        if not equals:
            continue
        if kind == "m":
            sections.append(_Section(value.strip()))
        elif kind == "a":
            name, _, rest = value.partition(":")
            sections[-1].attributes.append((name.strip().lower(), rest.strip()))
    return sections


def _video(section: _Section) -> VideoMedia:
    _, _, profile, *formats = [*section.line.split(), "", ""]
    if profile.upper() not in _PROFILES or section.says("crypto"):
        raise UnsupportedError("the video is not sent as plain RTP")
    names = []
    for payload_type in filter(_is_payload_type, formats[:_MOST_FORMATS]):
        fmtp = _parameters(section.of_format("fmtp", payload_type))
        name, clock_rate = _encoding(section, payload_type, fmtp)
        names.append(name)
        codec = _CODECS.get(name)
        if codec is not None:
            _check_order(codec, fmtp)
            extradata = b"" if codec == "mjpeg" else _extradata(codec, fmtp)
            size_wh = _size(section, payload_type, codec, extradata)
            return VideoMedia(codec, int(payload_type), clock_rate, extradata, _fps(section), size_wh)
    raise UnsupportedError(f"the video is {' or '.join(names) or 'of no known format'}")


def _fps(section: _Section) -> float | None:
    fps = _positive(section.first("framerate")) or _positive(section.first("x-framerate"))
    return fps if fps is not None and fps <= _MOST_FPS else None


def _size(section: _Section, payload_type: str, codec: Codec, extradata: bytes) -> tuple[int, int] | None:
    """Return the size from the parameter sets, or from one of two attributes.

    They are `x-dimensions:W,H` and `framesize:<payload type> W-H` (3GPP TS 26.234 section 5.3.3.2).
    """
    if codec != "mjpeg":
        for nal in extradata.split(START_CODE)[1:]:
            if kind_of_nal(codec, nal) == SPS[codec]:
                size_wh = picture_size(codec, nal)
                if size_wh is not None:
                    return size_wh
    for text in (section.first("x-dimensions"), section.of_format("framesize", payload_type)):
        match = _DIMENSIONS.match(text) if text.isascii() else None
        if match is not None and 0 < int(match[1]) < _MOST_SIDE and 0 < int(match[2]) < _MOST_SIDE:
            return int(match[1]), int(match[2])
    return None


def _is_payload_type(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len("127") and int(text) <= _MOST_PAYLOAD_TYPE


def _encoding(section: _Section, payload_type: str, fmtp: dict[str, str]) -> tuple[str, int]:
    """Return the upper-case encoding name and the clock rate. Without an rtpmap, the fmtp decides."""
    name, _, rest = section.of_format("rtpmap", payload_type).partition("/")
    rate = rest.partition("/")[0].strip()
    clock_rate = int(rate) if rate.isascii() and rate.isdigit() and 0 < len(rate) < len("1000000000") else 0
    if name:
        return name.strip().upper()[:_MOST_NAME], clock_rate or _CLOCK_RATE
    if "sprop-parameter-sets" in fmtp or "packetization-mode" in fmtp:
        return "H264", _CLOCK_RATE
    if "sprop-sps" in fmtp:
        return "H265", _CLOCK_RATE
    return _STATIC.get(payload_type, f"payload type {payload_type}"), _CLOCK_RATE


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in fmtp.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _check_order(codec: Codec, fmtp: dict[str, str]) -> None:
    """Refuse NAL units that come out of order (RFC 6184 section 5.5; DONs of RFC 7798 section 4.4.2)."""
    if codec == "h264" and fmtp.get("packetization-mode") == "2":
        raise UnsupportedError("the video is interleaved (packetization-mode 2)")
    if codec == "hevc" and _positive(fmtp.get("sprop-max-don-diff", "")):
        raise UnsupportedError("the video is interleaved (sprop-max-don-diff)")


def _extradata(codec: NalCodec, fmtp: dict[str, str]) -> bytes:
    texts = ",".join(fmtp.get(name, "") for name in _SPROPS[codec]).split(",")
    units = [_unit(text) for text in texts]
    return b"".join(
        START_CODE + unit for unit in units if unit and kind_of_nal(codec, unit) in _PARAMETER_SETS[codec]
    )


def _unit(text: str) -> bytes:
    """Decode a NAL unit in base64; empty if damaged.

    Some cameras omit the padding or include a start code.
    """
    bare = "".join(text.split()).rstrip("=")
    try:
        unit = b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (Base64Error, ValueError):
        return b""
    return unit.removeprefix(START_CODE)


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
