"""Opens streams that requests name, each on a thread of its own, and reports what is in them."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from framelane.control.public_view import shown_url
from framelane.core.clock import SystemClock
from framelane.core.errors import BusyError, FramelaneError, SourceError
from framelane.core.redact import redact
from framelane.core.stream_reasons import MEANINGS
from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    import av

    from framelane.config.sections.stream import StreamConfig
    from framelane.core.stream_reasons import StreamReason

log = structlog.get_logger(__name__)

MOST_PROBES = 2
"""Most probes at once: each may open a decoder, and a camera has few sessions."""
MOST_S = 20.0
"""Seconds without any frame after which a probe is given up."""
_RETRY_S = 5
_SECONDS = 2.0
"""How long to read from the first frame on: enough for the frame rate."""
_OPEN_S, _SILENCE_S = 10.0, 5.0
_PATIENCE_S = 4.0
"""How long to wait after the first frame: a snapshot that stays the same is no second one."""
_LAST_WORDS_S = 2.0
"""How long a probe that is stopped may take to end with what it has seen."""
_LOOK_S = 0.1
_LONGEST = 960
_LINK = re.compile(r"\[([^]]+)\]\(([^)#]+)(?:#[^)]*)?\)")
_NO_ANSWER = SourceError(
    "timeout", f"no frame came within {MOST_S:g} s; check that the camera is reachable and sends video"
)
_GONE = SourceError("closed", "the request was closed before the probe had ended")


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found.

    Attributes:
        reason: "ok", or why there is no frame; see `core/stream_reasons.py`.
        text: the reason as a sentence, without credentials; empty if a frame came.
        remedy: what to check; empty if there is nothing.
        video: the fields of a `ProbeReport`; None without a frame.
        image: the first frame as JPEG; None without a frame, or if it can't be encoded.
    """

    reason: StreamReason
    text: str = ""
    remedy: str = ""
    video: dict[str, Any] | None = None
    image: bytes | None = None

    @staticmethod
    def failed(fault: SourceError) -> Probed:
        """Return the outcome of a probe that saw no frame."""
        # The tables of reasons are Markdown, with links from one document to another.
        remedy = _LINK.sub(r"\1 (docs/\2)", MEANINGS[fault.reason].remedy)
        return Probed(fault.reason, redact(str(fault)), remedy)


class StreamProbes:
    """Runs at most `most` probes at once. Thread-safe.

    A probe that does not end in time keeps its turn until it does: FFmpeg can't be interrupted everywhere.

    Args:
        most: most probes at once.
        most_s: seconds without any frame after which a probe is given up.
    """

    def __init__(self, most: int = MOST_PROBES, most_s: float = MOST_S) -> None:
        self._most = most
        self._most_s = most_s
        self._turns = threading.BoundedSemaphore(most)

    def run(self, options: StreamConfig, gone: threading.Event | None = None) -> Probed:
        """Open a stream, read it for two seconds and close it; returns soon after `most_s` at the latest.

        Args:
            options: the stream.
            gone: set once nobody waits for the outcome any more; ends the probe.

        Raises:
            BusyError: `most` probes are in progress.
            FramelaneError: The probe failed in a way that the log explains.
        """
        if not self._turns.acquire(blocking=False):
            raise BusyError(f"{self._most} probes are in progress: try again", _RETRY_S)
        probe = _Probe(options, self._turns.release)
        probe.start()
        gone = gone or threading.Event()
        if not (_waits(probe.settled.wait, self._most_s, gone) and _waits(probe.join, _PATIENCE_S, gone)):
            probe.stop(_LAST_WORDS_S)
        outcome = Probed.failed(_GONE) if gone.is_set() else probe.outcome
        if outcome is None:
            if not probe.alive:
                raise FramelaneError("the probe failed; the log says why (`worker_failed`)")
            outcome = Probed.failed(_NO_ANSWER)
        url = shown_url(options.url.get_secret_value())
        log.info("stream_probed", url=url, reason=outcome.reason, text=outcome.text)
        return outcome


def _waits(happens: Callable[[float], bool], most_s: float, gone: threading.Event) -> bool:
    """Wait until something happens, while somebody waits for it; return whether it did."""
    clock = SystemClock()
    deadline_s = clock.monotonic() + most_s
    while not gone.is_set() and (left_s := deadline_s - clock.monotonic()) > 0:
        if happens(min(left_s, _LOOK_S)):
            return True
    return False


class _Probe(Worker):
    """Opens a stream once.

    Args:
        options: the stream.
        release: called on the thread when it ends.
    """

    def __init__(self, options: StreamConfig, release: Callable[[], None]) -> None:
        super().__init__("probe")
        limits = {
            "open_timeout_s": min(options.open_timeout_s, _OPEN_S),
            "read_timeout_s": min(options.read_timeout_s, _SILENCE_S),
        }
        self._options = options.model_copy(update=limits)
        self._release = release
        self._image: bytes | None = None
        self.settled = threading.Event()
        """Set once there is a frame, or there will be none."""
        self.outcome: Probed | None = None
        """What was found; None until the stream has been closed."""

    def run_once(self) -> None:
        """Probe, and stop."""
        try:
            self.outcome = self._look()
        except SourceError as fault:
            self.outcome = Probed.failed(_NO_ANSWER if fault.reason == "closed" else fault)
        finally:
            self.stopping.set()

    def ended(self) -> None:
        """Give the turn back."""
        self._release()
        self.settled.set()

    def _look(self) -> Probed:
        # FFmpeg and its libraries; a parent of worker processes loads them only for a probe.
        from framelane.sources.probe import probe_source  # noqa: PLC0415

        if _is_pipe(self._options.url.get_secret_value()):
            # Opening one waits for a writer, perhaps forever.
            raise SourceError("invalid", "this is a named pipe, which can't be probed; name a file")
        report = probe_source(self._options, _SECONDS, SystemClock(), self.stopping, self._take)
        video = report.as_dict()
        video["hints"] = [redact(hint) for hint in report.hints]
        return Probed("ok", video=video, image=self._image)

    def _take(self, picture: av.VideoFrame) -> None:
        """Keep a frame as JPEG."""
        from framelane.live.still import StillError, jpeg, reduced  # noqa: PLC0415

        with suppress(StillError):
            self._image = jpeg(reduced(picture, _LONGEST))
        self.settled.set()


def _is_pipe(url: str) -> bool:
    try:
        return Path(url).is_fifo()
    except OSError:
        # It is no path, or in a folder that can't be read.
        return False
