"""An RTSP client for tests: FFmpeg on a thread of its own, collecting what a camera shows."""

from __future__ import annotations

import struct
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_FRAMES = 2_000
OPEN_S, READ_S = 5.0, 5.0
# Opens in some 0.1 s instead of 1 to 2, and starts with the newest packet.
FAST = {"analyzeduration": "200000", "fpsprobesize": "0", "fflags": "nobuffer"}


@dataclass(frozen=True)
class Seen:
    """One decoded frame; `captured_s` is the camera's clock in seconds since 1970, where it told."""

    pixels: NDArray[np.uint8]
    pts_s: float
    captured_s: float | None


class Viewer:
    """`with Viewer(url) as viewer: viewer.wait_for(10)`; `error` tells how it ended."""

    def __init__(self, url: str, transport: str = "tcp", **options: str) -> None:
        self.error: Exception | None = None
        self.opened = threading.Event()
        self.ended = threading.Event()
        self._url = url
        self._options = {"rtsp_transport": transport, **FAST, **options}
        self._seen: deque[Seen] = deque(maxlen=MAX_FRAMES)
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join(OPEN_S + 2 * READ_S)

    @property
    def frames(self) -> list[Seen]:
        """What has been seen so far, oldest first."""
        with self._changed:
            return list(self._seen)

    def wait_for(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until `count` frames have been seen in all, or the stream has ended."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._seen) >= count or self.ended.is_set(), timeout_s)
            return len(self._seen) >= count

    def _run(self) -> None:
        try:
            self._watch()
        except (av.FFmpegError, OSError) as error:
            self.error = error
        finally:
            self.ended.set()
            with self._changed:
                self._changed.notify_all()

    def _watch(self) -> None:
        with av.open(self._url, options=self._options, timeout=(OPEN_S, READ_S)) as source:
            self.opened.set()
            for packet in source.demux(video=0):
                if self._closing:
                    return
                self._decode(packet)

    def _decode(self, packet: Any) -> None:
        captured_s = capture_time(packet)
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            return  # what a spoilt stream gives: the next key frame mends it
        for frame in frames:
            if frame.pts is None:
                continue
            pts_s = float(frame.pts * frame.time_base)
            if captured_s is not None and packet.pts is not None:  # B-frames come out of a later packet
                captured_s += pts_s - float(packet.pts * packet.time_base)
            with self._changed:
                self._seen.append(Seen(frame.to_ndarray(), pts_s, captured_s))
                self._changed.notify_all()


def capture_time(packet: Any) -> float | None:
    """The packet's AVProducerReferenceTime (libavutil: int64 microseconds first), in seconds since 1970."""
    if not packet.has_sidedata("prft"):
        return None
    wall_us: int = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0]
    return wall_us / 1e6
