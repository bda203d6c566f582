from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live.coded import Kind, recording

from framelane.live.mp4.codec_config import codec_config, nal_units

# What FFmpeg and browsers print for the same files.
TEXTS = {"h264": "avc1.42C00D", "h264-bframes": "avc1.64000D", "hevc": "hvc1.1.6.L60.90"}


@pytest.mark.parametrize("kind", ["h264", "h264-bframes", "hevc"])
def test_the_codec_string_and_size_are_the_streams(kind: Kind) -> None:
    made = recording(kind)
    config = codec_config(made.codec, made.extradata)  # type: ignore[arg-type]
    assert config is not None
    assert (config.text, config.size_wh) == (TEXTS[kind], (320, 240))


@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_a_containers_configuration_says_the_same(kind: Kind) -> None:
    made = recording(kind)
    config = codec_config(made.codec, made.extradata)  # type: ignore[arg-type]
    assert config is not None
    # Without the box's own head.
    assert codec_config(made.codec, config.box[8:]) == config  # type: ignore[arg-type]


@pytest.mark.parametrize("without", [0, 1])
def test_missing_sets_give_no_configuration(without: int) -> None:
    made = recording("h264")
    kept = [nal for number, nal in enumerate(nal_units(made.extradata)) if number != without]
    assert codec_config("h264", b"".join(b"\x00\x00\x00\x01" + nal for nal in kept)) is None


def test_start_codes_of_three_bytes_and_padding_are_understood() -> None:
    assert nal_units(b"\x00\x00\x01\x67\x01\x00\x00\x00\x00\x01\x68\x02\x00") == [b"\x67\x01", b"\x68\x02"]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_or_understood(codec: str, data: bytes) -> None:
    codec_config(codec, data)  # type: ignore[arg-type]
    codec_config(codec, b"\x01" + data)  # type: ignore[arg-type]
    codec_config(codec, b"\x00\x00\x01\x67" + data + b"\x00\x00\x01\x68\x01")  # type: ignore[arg-type]
    codec_config(codec, b"\x00\x00\x01\x42\x01" + data + b"\x00\x00\x01\x40\x01\x01\x00\x00\x01\x44\x01\x01")  # type: ignore[arg-type]
