"""Whatever bytes come, the parsers end soon, and raise nothing but what they say."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from framelane.core.errors import SourceError
from framelane.sources.rtsp.address import parse_address, without_login
from framelane.sources.rtsp.auth import Credentials, Login, parse_challenges
from framelane.sources.rtsp.errors import MalformedError, UnsupportedError
from framelane.sources.rtsp.message import AnswerReader
from framelane.sources.rtsp.sdp import control_urls, find_video
from framelane.sources.rtsp.session import parse_session

QUICK = settings(max_examples=200, deadline=None, derandomize=True)
ANSWER_PARTS = st.sampled_from(
    [
        b"RTSP/1.0 200 OK\r\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b"\n",
        b"$\x00\x00\x01",
        b" folded",
        b":",
        b"PLAY ",
        b"abc",
    ]
)
SDP_PARTS = st.sampled_from(
    [
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        "a=rtpmap:96 H265",
        "a=fmtp:96 sprop-parameter-sets=",
        "Z0I=",
        "a=control:",
        "rtsp://",
        "a=framerate:",
        "a=x-dimensions:",
        "a=framesize:96 ",
        "m=video 0 RTP/AVP 26",
        "a=sendonly",
        "\r\n",
        "\n",
        ";",
        ",",
        "=",
        " ",
        "9",
        "m=video",
        "a=",
        "\udcff",
        "é",
    ]
)


@QUICK
@given(st.lists(ANSWER_PARTS | st.binary(max_size=20), max_size=30))
@example([b"RTSP/1.0 200 OK\n", b"Content-Length:\xd9\xa3\n\n"])
def test_reader_raises_malformed_alone(pieces: list[bytes]) -> None:
    reader = AnswerReader()
    with suppress(MalformedError):
        for piece in pieces:
            reader.feed(piece)
            while (answer := reader.next()) is not None:
                assert 100 <= answer.status <= 999


@QUICK
@given(st.lists(SDP_PARTS | st.text(max_size=10), max_size=40), st.none() | st.integers(0, 3))
def test_description_raises_source_and_unsupported_errors_alone(
    pieces: list[str], number: int | None
) -> None:
    with suppress(UnsupportedError, SourceError):
        found = find_video("".join(pieces).encode("utf-8", "replace"), number)
        if found is not None:
            assert all(url.isascii() and " " not in url for url in control_urls(found, "rtsp://h/p"))


@QUICK
@given(st.text(st.sampled_from('Digest Basic,="\\ realm nonce qop auth 5é'), max_size=80))
def test_challenge_is_answered_or_not(text: str) -> None:
    login = Login(Credentials("u", "mellon"))
    login.challenge([text, f"Digest {text}"])
    assert "mellon" not in login.header("PLAY", "rtsp://h/")
    assert all(one.scheme for one in parse_challenges([text]))


@QUICK
@given(st.text(st.sampled_from("rtsp:/@[]%?#&1é \n"), max_size=40))
def test_url_raises_unsupported_alone(text: str) -> None:
    assert without_login(f"rtsp://{text}").isascii()
    with suppress(UnsupportedError):
        assert parse_address(f"rtsp://{text}").uri.isascii()


@QUICK
@given(st.text(st.sampled_from("7;timeout= \u0663"), max_size=30))
def test_session_header_gives_a_timeout(text: str) -> None:
    assert parse_session(text)[1] > 0
