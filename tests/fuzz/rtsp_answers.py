"""Damages the answers of RTSP servers, and the session descriptions in them, by their structure and by their bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fuzz.byte_damage import BYTE_DAMAGES, ODD_VALUES

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from tests.fuzz.byte_damage import Damage

_LONG = 70_000
_HEADERS = {
    "Session": ("7", "7;timeout=0", "7;timeout=999999", "7;timeout=-3", ";timeout=1", "", "7 ; Timeout = 5"),
    "Transport": (
        "RTP/AVP/TCP;unicast;interleaved=2-3",
        "RTP/AVP/TCP;interleaved=255-256",
        "RTP/AVP/TCP;interleaved=9",
        "RTP/AVP;client_port=1-2",
        "RTP/AVP/TCP;interleaved=1-1",
        "",
        "RTP/AVP/TCP;interleaved=",
        "rtp/avp/tcp;interleaved=0-0",
        "RTP/AVP/TCP;interleaved=999-1",
    ),
    "WWW-Authenticate": (
        'Basic realm="x"',
        'Digest realm="x", nonce="n"',
        'Digest realm="x", nonce="n", algorithm=SHA-256, qop="auth,auth-int"',
        'Digest nonce="n", stale=TRUE, algorithm=MD5-sess, qop=auth',
        'Digest realm="unended, nonce="',
        "Digest",
        "Bearer",
        "Basic, Digest",
        'Digest realm="x", nonce="n", algorithm=MD5-SESS-SESS',
        'Digest realm="\\"", nonce="\\\\", opaque=""',
        "Negotiate abc==",
    ),
    "Location": (
        "rtsp://127.0.0.1:554/there",
        "rtsp://u:p@127.0.0.1/",
        "http://127.0.0.1/",
        "rtsp://[::1]/",
        "",
        "there",
        "rtsp://h:99999/",
    ),
    "Content-Length": (
        "0",
        "1",
        "-1",
        "+3",
        "999999999",
        "262144",
        "262145",
        "0x10",
        "",
        "\u0663",
        "3 4",
        "0003",
    ),
    "Content-Base": (
        "rtsp://127.0.0.1/base/",
        "rtsp://u:p@127.0.0.1/",
        "RTSP://X",
        "http://127.0.0.1/",
        "",
        "rtsp://\u00e9/ /",
    ),
    "Public": ("", "GET_PARAMETER", "OPTIONS,,DESCRIBE , get_parameter", "*"),
    "CSeq": ("0", "99999999999", "", "x"),
}
_STARTS = (
    b"RTSP/1.0 200 OK",
    b"RTSP/1.0 100 Continue",
    b"RTSP/1.0 302 Found",
    b"RTSP/1.0 401 Unauthorized",
    b"RTSP/1.0 453 Not Enough Bandwidth",
    b"RTSP/1.0 454 Session Not Found",
    b"RTSP/1.0 461 Unsupported Transport",
    b"RTSP/1.0 503 Service Unavailable",
    b"RTSP/1.0 -1 x",
    b"RTSP/2.0 200 OK",
    b"RTSP/1.0  200",
    b"HTTP/1.1 200 OK",
    b"RTSP/1.0 2000 OK",
    b"rtsp/1.0 200 OK",
    b"RTSP/1.0 099 x",
    b"RTSP/1.0 999 x",
)
BETWEEN = (
    b"$\x00\x00\x00",
    b"$\x00\x00\x04abcd",
    b"$\x09\x00\x02zz",
    b"\r\n\r\n",
    b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    b"ANNOUNCE rtsp://h/ RTSP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"RTSP/1.0 200 OK\r\n\r\n",
    b"$",
    b"$\x00\xff\xff",
    b"REDIRECT rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\nLocation: rtsp://h/\r\n\r\n",
)
_DESCRIPTION_LINES = (
    "m=video 0 RTP/AVP 96",
    "m=video 0 RTP/AVP 97 96 26",
    "m=video 0 RTP/SAVP 96",
    "m=audio 0 RTP/AVP 0",
    "m=application 0 RTP/AVP 107",
    "m=video",
    "m=",
    "a=rtpmap:96 H264/90000",
    "a=rtpmap:96 H265/90000",
    "a=rtpmap:96 H264/0",
    "a=rtpmap:96 H264/999999999",
    "a=rtpmap:96 H264/1",
    "a=rtpmap:96",
    "a=rtpmap:97 JPEG/90000",
    "a=fmtp:96 packetization-mode=2",
    "a=fmtp:96 sprop-max-don-diff=1",
    "a=fmtp:96 sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==;packetization-mode=1",
    "a=fmtp:96 sprop-sps=QgEB;sprop-pps=RAHA",
    "a=control:*",
    "a=control:rtsp://u:p@127.0.0.1/track",
    "a=control:/../..",
    "a=control:",
    "a=sendonly",
    "a=inactive",
    "a=crypto:1",
    "a=framerate:0",
    "a=framerate:1e308",
    "a=framerate:inf",
    "a=x-framerate:25",
    "a=framesize:96 99999-99999",
    "c=IN IP6 ::",
    "b=AS:0",
)


def _head_and_body(answer: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def _joined(lines: Sequence[bytes], body: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def damaged_answers(dice: random.Random, answers: Sequence[bytes]) -> bytes:
    """A handshake with at least one damaged answer."""
    said = list(answers)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        chosen = dice.randrange(len(said))
        said[chosen] = dice.choice(_ANSWER_DAMAGES)(dice, said[chosen])
    whole = b"".join(said)
    return whole.replace(b"\r\n", b"\n") if dice.random() < 0.05 else whole


def damaged_description(dice: random.Random, answers: Sequence[bytes]) -> bytes:
    """A proper handshake in which the description alone is damaged."""
    return b"".join(_redescribed(dice, each) if b"m=video" in each else each for each in answers)


def _other_start(dice: random.Random, answer: bytes) -> bytes:
    lines, body = _head_and_body(answer)
    return _joined([dice.choice(_STARTS), *lines[1:]], body)


def _other_header(dice: random.Random, answer: bytes) -> bytes:
    """A header that the client reads gets another value, or comes twice."""
    lines, body = _head_and_body(answer)
    name = dice.choice(tuple(_HEADERS))
    value = dice.choice(_HEADERS[name] if dice.random() < 0.7 else ODD_VALUES)
    line = f"{name}: {value}".encode("utf-8", "surrogateescape")
    kept = [
        each for each in lines if dice.random() < 0.2 or not each.lower().startswith(name.lower().encode())
    ]
    at = dice.randint(1, max(len(kept), 1))
    return _joined([*kept[:at], line, *kept[at:]], body)


def _other_login(dice: random.Random, answer: bytes) -> bytes:
    lines = [b"RTSP/1.0 401 Unauthorized"]
    for _ in range(dice.randint(1, 3)):
        text = dice.choice(_HEADERS["WWW-Authenticate"]).encode()
        lines.append(
            b"WWW-Authenticate: " + (dice.choice(BYTE_DAMAGES)(dice, text) if dice.random() < 0.5 else text)
        )
    refused = _joined(lines, b"")
    return refused * dice.choice((1, 1, 3)) + answer


def _redirect(dice: random.Random, answer: bytes) -> bytes:
    place = dice.choice((*_HEADERS["Location"], *ODD_VALUES))
    line = f"Location: {place}".encode("utf-8", "surrogateescape")
    return _joined([dice.choice((b"RTSP/1.0 302 Found", b"RTSP/1.0 301 Moved")), line], b"") + answer


def _shuffle_lines(dice: random.Random, answer: bytes) -> bytes:
    lines, body = _head_and_body(answer)
    dice.shuffle(lines)
    return _joined(lines[: dice.randint(0, len(lines))], body)


def _long_line(dice: random.Random, answer: bytes) -> bytes:
    lines, body = _head_and_body(answer)
    filler = dice.choice((b"x", b",", b'a="', b'\\"', b" ", b";", b"\r\n ", b"Basic,")) * _LONG
    name = dice.choice((b"X: ", b"WWW-Authenticate: ", b"Session: ", b"Transport: ", b"Public: "))
    return _joined([*lines, name + filler[: dice.choice((9_000, 31_000, _LONG))]], body)


def _say_between(dice: random.Random, answer: bytes) -> bytes:
    said = dice.choice(BETWEEN)
    return said + answer if dice.random() < 0.5 else answer + said


def _odd_length(dice: random.Random, answer: bytes) -> bytes:
    lines, body = _head_and_body(answer)
    kept = [line for line in lines if not line.lower().startswith(b"content-length")]
    value = dice.choice((*_HEADERS["Content-Length"], str(max(len(body) + dice.randint(-3, 3), 0))))
    return _joined([*kept, f"Content-Length: {value}".encode()], body)


def _leave_out(_dice: random.Random, _answer: bytes) -> bytes:
    return b""


_ANSWER_DAMAGES: tuple[Damage, ...] = (
    *BYTE_DAMAGES,
    _other_start,
    _other_header,
    _other_header,
    _other_login,
    _redirect,
    _shuffle_lines,
    _say_between,
    _odd_length,
    _leave_out,
    lambda dice, answer: _long_line(dice, answer) if dice.random() < 0.05 else _other_header(dice, answer),
)


def _redescribed(dice: random.Random, answer: bytes) -> bytes:
    lines, body = _head_and_body(answer)
    for _ in range(dice.choice((1, 1, 2, 5))):
        damage: Damage = dice.choice((_other_lines, _other_lines, _odd_words, *BYTE_DAMAGES))
        body = damage(dice, body)
    if dice.random() < 0.01:
        body = (body + dice.choice(_DESCRIPTION_LINES).encode() * 9 + b"\r\n") * dice.choice((20, 100))
    kept = [line for line in lines if not line.lower().startswith(b"content-length")]
    return _joined([*kept, b"Content-Length: %d" % len(body)], body)


def _other_lines(dice: random.Random, body: bytes) -> bytes:
    lines = body.split(b"\r\n")
    way = dice.choice(("drop", "double", "insert", "insert", "move"))
    at = dice.randrange(len(lines))
    if way == "insert":
        lines.insert(at, dice.choice(_DESCRIPTION_LINES).encode())
    elif way == "double":
        lines.insert(dice.randint(0, len(lines)), lines[at])
    else:
        line = lines.pop(at)
        if way == "move":
            lines.insert(dice.randint(0, len(lines)), line)
    return b"\r\n".join(lines)


def _odd_words(dice: random.Random, body: bytes) -> bytes:
    """One word, number or base64 text gives way to an odd one."""
    words = list(re.finditer(rb"[^\s:;=,/]+", body))
    if not words:
        return body
    word = dice.choice(words)
    odd = dice.choice(ODD_VALUES).encode("utf-8", "surrogateescape")
    return body[: word.start()] + odd + body[word.end() :]
