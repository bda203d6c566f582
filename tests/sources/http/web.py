"""A small HTTP server whose answers a test makes up, and segments of video to serve."""

from __future__ import annotations

import io
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import av
from tests.neighbours.clips import ClipShape, gradient
from tests.sources.pictures import X264, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FPS, FRAMES = 20, 10
SEGMENT_S = FRAMES / FPS
SHAPE = ClipShape(96, 64)


@dataclass(frozen=True)
class Answer:
    """What the server says; `length` is told instead of the body's own where it is given."""

    body: bytes = b""
    media_type: str = "application/octet-stream"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


class Web(ThreadingHTTPServer):
    """Answers GETs as `answer` says, which gets the path with its query, and the request's headers."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, Mapping[str, str]], Answer]) -> None:
        self.answer = answer
        self.hits: Counter[str] = Counter()
        self.asked: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.hits[self.path.partition("?")[0]] += 1
        self.server.asked.append((self.path, headers))
        answer = self.server.answer(self.path, headers)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        if answer.status != 304:
            length = len(answer.body) if answer.length is None else answer.length
            self.send_header("Content-Length", str(length))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except OSError:
            return

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@contextmanager
def serving(answer: Callable[[str, Mapping[str, str]], Answer]) -> Iterator[Web]:
    """A server that runs within the block."""
    with Web(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def segment(number: int, *, jump_s: float = 0.0, first: int | None = None, size: ClipShape = SHAPE) -> bytes:
    """Half a second of MPEG-TS that begins with a key frame.

    Args:
        number: which one; its pictures are those of no other.
        jump_s: by how much the encoder's clock is ahead.
        first: the number that its time stamps follow from, `number` by default.
        size: of its pictures.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as sink:
        stream: Any = sink.add_stream("libx264", rate=FPS, options=X264)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        start = (number if first is None else first) * FRAMES + round(jump_s * FPS)
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(gradient(number * FRAMES + index, size), format="rgb24")
            frame.pts, frame.time_base = start + index, Fraction(1, FPS)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    return buffer.getvalue()


def numbers_of(segments: Mapping[int, bytes]) -> dict[bytes, int]:
    """Which picture of all has these pixels, counted over all segments."""
    found = {}
    for number, data in segments.items():
        with av.open(io.BytesIO(data), "r") as source:
            for index, frame in enumerate(source.decode(video=0)):
                found[fingerprint(frame)] = number * FRAMES + index
    return found


def playlist(numbers: range, *, before: Mapping[int, str] | None = None, target_s: float = 1) -> str:
    """A live media playlist of segments `s0.ts` and so on; `before` has lines that come before one."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{target_s}",
        f"#EXT-X-MEDIA-SEQUENCE:{numbers.start}",
    ]
    for number in numbers:
        if before and number in before:
            lines.append(before[number])
        lines += [f"#EXTINF:{SEGMENT_S},", f"s{number}.ts"]
    return "\n".join([*lines, ""])


def hls(text: str) -> Answer:
    """A playlist as an answer."""
    return Answer(text.encode(), "application/vnd.apple.mpegurl")


def video(data: bytes) -> Answer:
    """A segment as an answer."""
    return Answer(data, "video/mp2t")
