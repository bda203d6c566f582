"""Writes the session description of a camera (RFC 8866; fmtp of RFC 6184 8.2.1 and RFC 7798 7.2.1)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from framelane.demo.rtsp.packets import CLOCK_HZ, Clip

if TYPE_CHECKING:
    from framelane.demo.rtsp.nal import NalFormat

CONTROL = "trackID=0"
_ENCODING_NAMES = {"h264": "H264", "hevc": "H265", "mjpeg": "JPEG"}
_HEVC_SPROPS = {"sprop-vps": 32, "sprop-sps": 33, "sprop-pps": 34}


def describe(clip: Clip, *, sprop: bool = True) -> str:
    """Return the SDP of a camera that plays `clip`; without `sprop`, parameter sets come in band only."""
    payload = clip.payload_type
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=Framelane demo camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {payload}",
        f"a=rtpmap:{payload} {_ENCODING_NAMES[clip.codec]}/{CLOCK_HZ}",
    ]
    parameters = _format_parameters(clip.nal_format, sprop=sprop)
    if parameters:
        lines.append(f"a=fmtp:{payload} {'; '.join(parameters)}")
    lines.append(f"a=control:{CONTROL}")
    return "".join(f"{line}\r\n" for line in lines)


def _format_parameters(nal_format: NalFormat | None, *, sprop: bool) -> list[str]:
    if nal_format is None:
        return []
    if nal_format.codec == "h264":
        return ["packetization-mode=1", *(_h264_sprops(nal_format) if sprop else [])]
    return _hevc_sprops(nal_format) if sprop else []


def _h264_sprops(nal_format: NalFormat) -> list[str]:
    if not nal_format.parameter_sets:
        return []
    profile_level_id = nal_format.parameter_sets[0][1:4].hex().upper()
    return [
        f"sprop-parameter-sets={_base64(nal_format.parameter_sets)}",
        f"profile-level-id={profile_level_id}",
    ]


def _hevc_sprops(nal_format: NalFormat) -> list[str]:
    sets = {name: tuple(nal_format.of_type(nal_type)) for name, nal_type in _HEVC_SPROPS.items()}
    return [f"{name}={_base64(nals)}" for name, nals in sets.items() if nals]


def _base64(nals: tuple[bytes, ...]) -> str:
    return ",".join(b64encode(nal).decode("ascii") for nal in nals)
