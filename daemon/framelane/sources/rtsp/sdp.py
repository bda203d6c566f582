"""Finds the video in a session description (RFC 8866; fmtp of RFC 6184 section 8.1 and RFC 7798 section 7.1)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import Literal

from framelane.sources.rtsp.address import without_login
from framelane.sources.rtsp.errors import UnsupportedError

Codec = Literal["h264", "hevc"]

START_CODE = b"\x00\x00\x00\x01"
_CODECS: dict[str, Codec] = {"H264": "h264", "H265": "hevc", "HEVC": "hevc"}
_SPROPS: dict[Codec, tuple[str, ...]] = {
    "h264": ("sprop-parameter-sets",),
    "hevc": ("sprop-vps", "sprop-sps", "sprop-pps"),
}
_PARAMETER_SETS: dict[Codec, range] = {"h264": range(7, 9), "hevc": range(32, 35)}
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


@dataclass(frozen=True, slots=True)
class VideoMedia:
    """The video that a session plays.

    Attributes:
        codec: FFmpeg's name.
        payload_type: of RTP, 0 to 127.
        clock_rate: ticks of the RTP time stamp per second.
        extradata: parameter sets behind start codes (Annex B); empty where they come in band only.
        fps: pictures per second that the description promises; None where it does not.
    """

    codec: Codec
    payload_type: int
    clock_rate: int
    extradata: bytes
    fps: float | None


@dataclass(frozen=True, slots=True)
class Description:
    """What there is to set up: the video, its `a=control`, and that of the whole session (empty: not given)."""

    video: VideoMedia
    control: str
    session_control: str


@dataclass(slots=True)
class _Section:
    """A media description: its m= line, and its attributes in order."""

    line: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str:
        return next((value for known, value in self.attributes if known == name), "")

    def of_format(self, name: str, payload_type: str) -> str:
        """The value of a `name:<payload type> value` attribute."""
        pairs = (value.split(None, 1) for known, value in self.attributes if known == name)
        return next((pair[1] for pair in pairs if len(pair) > 1 and pair[0] == payload_type), "")

    def says(self, name: str) -> bool:
        return any(known == name for known, _ in self.attributes)


def find_video(body: bytes) -> Description | None:
    """The first video that can be read, else None where there is no video.

    Audio, metadata and back channels are left out. Some servers call what they send "sendonly", which is a back
    channel's mark elsewhere: such a video counts if there is no other.

    Raises:
        UnsupportedError: there is video, but none that we read.
    """
    session, *media = _sections(body)
    videos = [one for one in media if one.line.lower().startswith("video ")]
    videos.sort(key=lambda one: one.says("sendonly") or one.says("inactive"))
    faults = []
    for section in videos:
        try:
            video = _video(section)
        except UnsupportedError as error:
            faults.append(error)
            continue
        return Description(video, section.first("control"), session.first("control"))
    if faults:
        raise faults[0]
    return None


def control_urls(description: Description, base: str) -> tuple[str, str]:
    """The URLs to play the session with and to set up the video with (RFC 2326 appendix C.1.1).

    A relative control is appended to the base, as FFmpeg and most servers do: by the letter of RFC 1808 it would
    replace a base's last part that lacks its slash.

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
            return VideoMedia(codec, int(payload_type), clock_rate, _extradata(codec, fmtp), _fps(section))
    raise UnsupportedError(f"the video is {' or '.join(names) or 'of no known format'}")


def _fps(section: _Section) -> float | None:
    fps = _positive(section.first("framerate")) or _positive(section.first("x-framerate"))
    return fps if fps is not None and fps <= _MOST_FPS else None


def _is_payload_type(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len("127") and int(text) <= _MOST_PAYLOAD_TYPE


def _encoding(section: _Section, payload_type: str, fmtp: dict[str, str]) -> tuple[str, int]:
    """The upper-case encoding name and the clock rate; without an rtpmap, what the fmtp tells."""
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
    """Refuse NAL units out of their order (RFC 6184 section 5.5, RFC 7798 section 4.4.2: DONs)."""
    if codec == "h264" and fmtp.get("packetization-mode") == "2":
        raise UnsupportedError("the video is interleaved (packetization-mode 2)")
    if codec == "hevc" and _positive(fmtp.get("sprop-max-don-diff", "")):
        raise UnsupportedError("the video is interleaved (sprop-max-don-diff)")


def _extradata(codec: Codec, fmtp: dict[str, str]) -> bytes:
    texts = ",".join(fmtp.get(name, "") for name in _SPROPS[codec]).split(",")
    units = [_unit(text) for text in texts]
    return b"".join(
        START_CODE + unit for unit in units if unit and _kind(codec, unit) in _PARAMETER_SETS[codec]
    )


def _unit(text: str) -> bytes:
    """A NAL unit in base64; empty if it is damaged. Cameras forget its padding, or put a start code into it."""
    bare = "".join(text.split()).rstrip("=")
    try:
        unit = b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (Base64Error, ValueError):
        return b""
    return unit.removeprefix(START_CODE)


def _kind(codec: Codec, unit: bytes) -> int:
    return unit[0] & 0x1F if codec == "h264" else (unit[0] >> 1) & 0x3F


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
