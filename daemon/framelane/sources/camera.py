"""One stream's thread: opens its source, reads and decodes it, and retries forever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from framelane.core.backoff import Backoff
from framelane.core.errors import SourceError
from framelane.core.worker import Worker
from framelane.sources.decoding.decoder import ON_CPU
from framelane.sources.decoding.skip_policy import SkipPolicy
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.decoding.unit_queue import UnitQueue
from framelane.sources.ffmpeg.connection import FfmpegConnection
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.ffmpeg.hangup import hang_up
from framelane.sources.frame_maker import FrameMaker
from framelane.sources.http.opening import HttpOpener
from framelane.sources.image_folder import FolderSource
from framelane.sources.interfaces.source import LIVE_KINDS, Source, kind_of
from framelane.sources.live_decoding import LiveDecoding
from framelane.sources.network.certificates import UNVERIFIED, is_unverified
from framelane.sources.network.ffmpeg_errors import NO_DATA, NO_VIDEO, NO_VIDEO_PATIENCE
from framelane.sources.notes import StreamNotes, remarks
from framelane.sources.pacing import PiecePacer, RealtimePacer
from framelane.sources.reader_choice import ReaderChoice
from framelane.sources.retry import PROVEN_S, Proof, Retry
from framelane.sources.rtsp.source import RtspSource, SpareDecoder, reads_itself
from framelane.telemetry.states import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.stream import StreamConfig
    from framelane.core.stream_reasons import StreamReason
    from framelane.sources.camera_parts import CameraParts
    from framelane.sources.decoding.decoder import DecoderChoice
    from framelane.sources.frame_maker import FrameConsumer
    from framelane.sources.http.opening import HttpSource

log = structlog.get_logger(__name__)

_NO_PICTURE_S = 1.0
"""Seconds of packets without a decodable picture, after which the state says so."""
_LEAVING_S = 1.0
"""Seconds without video after which a stop disconnects at once."""
_LOOK_S = 0.1
_UNCHANGED = "the server says that its picture has not changed"


class CameraWorker(Worker):
    """Reads one stream until stopped. A fault affects only this stream, which is retried after a wait.

    Args:
        config: the stream.
        consumer: takes frames.
        parts: the stream's meter, state and tap, and what it shares with others.
        choice: the decoder to use.
        before: earlier readers of a changed stream that may still run; many cameras allow only one session.
    """

    def __init__(
        self,
        config: StreamConfig,
        consumer: FrameConsumer,
        parts: CameraParts,
        choice: DecoderChoice = ON_CPU,
        before: Sequence[Worker] = (),
    ) -> None:
        super().__init__(f"camera-{config.id}")
        self.stream = config.id
        self._before = before
        self._parts = parts
        self._source_parts = SourceParts(parts.clock, parts.meter, choice, self._fell_back, self.stopping)
        # NVDEC's last refusal that was logged.
        self._refusal = ""
        self._warned = False
        self._config = config
        self._meter = parts.meter
        self._status = parts.status
        self._clock = clock = parts.clock
        self._url = config.url.get_secret_value()
        self._wait = kind_of(self._url) not in LIVE_KINDS and not config.realtime
        self._frames = FrameMaker(config, consumer, parts.meter, parts.status, clock, wait=self._wait)
        self._backoff = Backoff(config.backoff.first_s, config.backoff.most_s)
        remote = kind_of(self._url) in ("rtsp", "http")
        self._retry = Retry(self._url, self._backoff, clock, live=remote)
        self._thread_id = 0
        self._line: FfmpegConnection | None = None
        self._live_decoding: LiveDecoding | None = None
        self._read_from: HttpSource | RtspSource | None = None
        self._entrance: HttpOpener | None = None
        self._spare: SpareDecoder | None = None
        self._reader = ReaderChoice(
            clock, own=reads_itself(self._url, config), alone=config.reader == "native"
        )
        # The last reason for FFmpeg that was logged.
        self._logged_reader = ""
        self._opened_s = 0.0
        # Why this thread has disconnected the camera.
        self._hung_up = ""
        self._remarks = StreamNotes(config.id, parts.status)
        parts.status.on_tick = self._look

    def run_once(self) -> None:
        """Open the source and read it to its end."""
        if not self._is_free():
            return
        self._status.connecting()
        self._remarks.forget()
        self._thread_id, self._hung_up = threading.get_native_id(), ""
        with self._open() as source:
            self._opened(source)
            try:
                if isinstance(source, RtspSource):
                    self._follow(source)
                elif isinstance(source, FolderSource) or not source.endless:
                    self._play(source)
                else:
                    self._watch(source)
            finally:
                self._read_from = self._line = self._live_decoding = None
                self._frames.closed()
        if not self.stopping.is_set():
            self._status.down(ENDED, "played to its end")
            self.stopping.set()

    def failed(self, error: Exception) -> float:
        """Show the fault in the stream's state; return the seconds until the next try."""
        # The fault may come from our own disconnect.
        if self.stopping.is_set():
            return 0.0
        reason: StreamReason = error.reason if isinstance(error, SourceError) else "failed"
        text = str(error)
        if self._hung_up:
            reason, text, self._hung_up = "timeout", self._hung_up, ""
        wait_s = self._retry.after(reason)
        self._status.down(reason, text + self._retry.remark(wait_s))
        unforeseen = None if isinstance(error, SourceError) else error
        log.warning(
            "stream_down",
            stream=self._config.id,
            reason=reason,
            text=text,
            retry_s=round(wait_s, 1),
            exc_info=unforeseen,
        )
        return wait_s

    def rest(self, wait_s: float) -> None:
        """Wait for the next try; ends early if the camera is reachable again or `retry_login` is called."""
        self._retry.wait(wait_s, self.stopping)

    def ended(self) -> None:
        """Release the spare decoder."""
        self._spare = None

    def retry_login(self) -> None:
        """Retry a refused login now, and try our own reader at the next opening."""
        self._retry.retry_login()
        self._reader.reconsider()

    def tune(self, config: StreamConfig) -> None:
        """Apply options that need no new connection, which is only `fps` here; from any thread."""
        self._config = config
        self._frames.limit(config.fps)
        decoding = self._live_decoding
        if decoding is not None:
            decoding.limit(config.fps)

    def wake(self) -> None:
        """Disconnect a camera that sends no video, because it would keep this thread in a read."""
        source = self._read_from
        if isinstance(source, RtspSource):
            source.wake()
        self._hang_up_after(_LEAVING_S, NO_VIDEO)

    def _look(self) -> None:
        """Check the source; called twice per second on the housekeeping thread."""
        source, line, decoding = self._read_from, self._line, self._live_decoding
        self._meter.set_clock_offset(None if source is None else source.camera_offset_s)
        if source is not None:
            self._remarks.look(source)
        if decoding is not None:
            decoding.look()
        if line is not None:
            line.find(self._thread_id, datagrams=self._config.transport == "udp")
        silence_s = self._config.read_timeout_s
        self._hang_up_after(silence_s, NO_DATA, silent_s=silence_s)
        self._hang_up_after(NO_VIDEO_PATIENCE * silence_s, NO_VIDEO)
        self._note_missing_key_frame()

    def _hang_up_after(self, waited_s: float, why: str, silent_s: float = 0.0) -> None:
        source = self._read_from
        if not isinstance(source, ContainerSource) or source.kind != "rtsp":
            return
        if self._clock.monotonic() - source.heard_s > waited_s:
            # Set before the disconnect, because the reader may react at once.
            self._hung_up = why
            if not hang_up(self._thread_id, silent_s):
                self._hung_up = ""

    def _note_missing_key_frame(self) -> None:
        source = self._read_from
        if source is None or self._status.current.state != "connecting":
            return
        if source.heard_s - self._opened_s >= _NO_PICTURE_S:
            self._status.awaiting_key_frame()

    def _is_free(self) -> bool:
        """Return whether all earlier readers have ended; wait a moment if not."""
        self._before = [each for each in self._before if each.alive]
        for each in self._before:
            each.wake()
        if self._before:
            self.stopping.wait(_LOOK_S)
        return not self._before

    def _open(self) -> HttpSource | RtspSource | FolderSource:
        if kind_of(self._url) == "folder":
            return FolderSource(self._url, self._meter)
        if is_unverified(self._url, self._config) and not self._warned:
            self._warned = True
            log.warning("tls_unverified", stream=self._config.id, text=UNVERIFIED)
        return self._reader.open(self._open_rtsp, self._open_container)

    def _open_container(self) -> HttpSource:
        self._line = FfmpegConnection()
        if kind_of(self._url) == "http":
            return self._open_http(self._line)
        return ContainerSource(self._url, self._config, self._source_parts, self._line)

    def _open_http(self, line: FfmpegConnection) -> HttpSource:
        if self._entrance is None:
            self._entrance = HttpOpener(self._config, self._source_parts, self._unchanged)
        return self._entrance.open(line)

    def _unchanged(self, same: bool) -> None:  # noqa: FBT001 - the source's own words
        """Note whether a server of single pictures reports or sends an unchanged one."""
        self._status.noted("unchanged", _UNCHANGED if same else "")
        if same:
            self._status.unit_seen(self._clock.monotonic())

    def _open_rtsp(self) -> RtspSource:
        reactor = self._parts.ingest.reactor
        source = RtspSource(self._url, self._config, self._source_parts, reactor, self._spare)
        self._spare = None
        return source

    def _fell_back(self, why: str) -> None:
        """Show that the CPU decodes instead of NVDEC. The next connection tries NVDEC again at no cost."""
        self._meter.decoder_fell_back()
        self._status.noted("decoder", f"decoded on the CPU: {why}")
        self._frames.decoder_changed("cpu")
        if why != self._refusal:
            self._refusal = why
            log.warning("decoder_fallback", stream=self._config.id, reason=why)

    def _opened(self, source: HttpSource | RtspSource | FolderSource) -> None:
        self._retry.accepted()
        self._opened_s = self._clock.monotonic()
        self._log_reader(self._reader.why)
        for about, remark in remarks(source, self._reader.why).items():
            self._status.noted(about, remark)
        self._frames.opened(source)

    def _log_reader(self, why: str) -> None:
        """Log changes of the reader, but not each connection."""
        if why != self._logged_reader:
            self._logged_reader = why
            event = "read_by_ffmpeg" if why else "read_by_framelane"
            log.info(event, stream=self._config.id, **({"reason": why} if why else {}))

    def _follow(self, source: RtspSource) -> None:
        """Run an RTSP source, which shared threads read and decode, until its end or a stop.

        Open its decoder here.
        """
        self._read_from = source
        decoding = self._decoding(source, resumes=source.resumes)
        proof = Proof(self._clock, self._backoff)
        try:
            source.start(decoding.put)
            while not self.stopping.is_set():
                source.wait()
                decoding.advance()
                source.check_end()
                proof.look()
        except SourceError:
            decoding.finish(self._config.late_ms / 1e3)
            self._spare = source.spare
            raise
        finally:
            decoding.close()

    def _watch(self, source: HttpSource) -> None:
        """Read a live source as fast as it comes, while it is decoded in parallel; return when stopped."""
        self._read_from = source
        pacer = None if source.paced else PiecePacer(self._clock, self.stopping)
        proof = Proof(self._clock, self._backoff)
        while self._watch_part(source, pacer, proof) and source.advance():
            self._frames.restarted()
            if pacer is not None:
                pacer.restarted()
        if not self.stopping.is_set():
            source.check_end()

    def _watch_part(self, source: HttpSource, pacer: PiecePacer | None, proof: Proof) -> bool:
        """Read up to the next discontinuity; return False if stopped."""
        decoding = self._decoding(source)
        try:
            for unit in source.units():
                if self.stopping.is_set():
                    return False
                # Frames that the decoder still held don't prove that the camera sends.
                if self._hung_up:
                    raise SourceError("timeout", self._hung_up)
                decoding.put(unit if pacer is None else pacer.hold(unit, behind=source.behind))
                decoding.advance()
                proof.look(source.news)
            decoding.finish(self._config.late_ms / 1e3)
        finally:
            decoding.close()
        return not self.stopping.is_set()

    def _decoding(self, source: HttpSource | RtspSource, *, resumes: bool = False) -> LiveDecoding:
        config = self._config
        waiting = UnitQueue(
            config.late_ms / 1e3,
            SkipPolicy(config.fps),
            self._clock,
            self._frames.skipped,
            resumes=resumes,
            keep_damaged=config.damaged == "keep",
        )
        decoding = LiveDecoding(source.decoder, waiting, self._frames, self._parts, source.info.codec)
        self._live_decoding = decoding
        # `tune` may have changed it since.
        decoding.limit(self._config.fps)
        return decoding

    def _play(self, source: Source) -> None:
        """Read and decode a recorded source at its own pace, once or in a loop."""
        pacer = None if self._wait else RealtimePacer(self._clock, self.stopping)
        started_s = self._clock.monotonic()
        while not self.stopping.is_set():
            seen = False
            for decoded in source.pictures():
                if self.stopping.is_set():
                    return
                # Frames that the decoder still held don't prove that the camera sends.
                if self._hung_up:
                    raise SourceError("timeout", self._hung_up)
                seen = True
                self._frames.take(decoded, pacer)
                # Keep no reference to a frame while the next one is awaited.
                del decoded
                if self._clock.monotonic() - started_s > PROVEN_S:
                    self._backoff.reset()
            if not seen:
                # An error, because a loop would otherwise retry without a pause.
                raise SourceError("undecodable", "it contains no picture that can be decoded")
            if not self._config.loop:
                return
            self._frames.restarted()
            source.rewind()
