"""One stream's thread: opens its source, has it read and decoded, and tries again forever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.core.backoff import Backoff
from framelane.core.errors import SourceError
from framelane.core.worker import Worker
from framelane.sources.arrivals import arrival_now
from framelane.sources.certificates import is_unverified
from framelane.sources.connection import Line
from framelane.sources.container import ContainerSource
from framelane.sources.decoder import ON_CPU
from framelane.sources.economy import Economy
from framelane.sources.faults import NO_DATA, NO_VIDEO, NO_VIDEO_PATIENCE
from framelane.sources.folder import FolderSource
from framelane.sources.frame_maker import FrameMaker, FrameMeter
from framelane.sources.hangup import hang_up
from framelane.sources.live_decoding import LiveDecoding
from framelane.sources.pacing import RealtimePacer
from framelane.sources.retry import Retry
from framelane.sources.rtsp.client import UnsupportedError
from framelane.sources.rtsp.source import RtspSource, SpareDecoder, reads_itself
from framelane.sources.source import LIVE_KINDS, Source, kind_of
from framelane.sources.timeline import Timeline
from framelane.sources.unit_queue import UnitQueue
from framelane.telemetry.status import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.schema import StreamConfig
    from framelane.core.clock import Clock
    from framelane.sources.decoder import DecoderChoice
    from framelane.sources.frame_maker import FrameConsumer
    from framelane.sources.ingest import Ingest
    from framelane.sources.unit_decoder import UnitDecoder
    from framelane.sources.units import Unit
    from framelane.telemetry.status import StreamStatus

log = structlog.get_logger(__name__)

_PROVEN_S = 5.0
_NO_PICTURE_S = 1.0
"""That packets come without a picture, until the state says so."""
_LEAVING_S = 1.0
"""Without video, after which a stop does not wait for more."""
_LOOK_S = 0.1
_UNVERIFIED = (
    "anybody on the way can pass for the camera; set tls.verify: true, and tls.ca_file to its authority"
)


class CameraMeter(FrameMeter, Protocol):
    """Told of every step of a stream's frames until they are offered."""

    def decoder_fell_back(self) -> None:
        """NVDEC refused the stream, which the CPU decodes now."""
        ...

    def camera_clock_told(self, offset_s: float | None) -> None:
        """The camera's clock is ahead of ours by so much; None where it doesn't tell."""
        ...


class CameraWorker(Worker):
    """Reads one stream until stopped; a fault costs this stream alone, and a wait before the next try.

    Args:
        config: the stream.
        consumers: where frames go.
        meter: counts its steps.
        status: its state machine.
        clock: where the time is read.
        ingest: reads and decodes what is live.
        choice: which decoder.
        before: who read the stream before it was changed, and may still be at it; many a camera allows one session.
    """

    def __init__(
        self,
        config: StreamConfig,
        consumers: Sequence[FrameConsumer],
        meter: CameraMeter,
        status: StreamStatus,
        clock: Clock,
        ingest: Ingest,
        choice: DecoderChoice = ON_CPU,
        before: Sequence[Worker] = (),
    ) -> None:
        super().__init__(f"camera-{config.id}")
        self.stream = config.id
        self._before = before
        self._choice = choice
        self._refusal = ""  # the last one that the log has
        self._warned = False
        self._config = config
        self._meter = meter
        self._status = status
        self._clock = clock
        self._url = config.url.get_secret_value()
        self._wait = kind_of(self._url) not in LIVE_KINDS and not config.realtime
        self._frames = FrameMaker(config, consumers, meter, status, clock, wait=self._wait)
        self._ingest = ingest
        self._backoff = Backoff(config.backoff.first_s, config.backoff.most_s)
        remote = kind_of(self._url) in ("rtsp", "http")
        self._retry = Retry(self._url, self._backoff, clock, live=remote)
        self._thread_id = 0
        self._line: Line | None = None
        self._live_decoding: LiveDecoding | None = None
        self._read_from: ContainerSource | RtspSource | None = None
        self._spare: SpareDecoder | None = None
        self._by_ffmpeg = not reads_itself(self._url, config)
        self._opened_s = 0.0
        self._hung_up = ""  # why
        status.on_tick = self._look

    def run_once(self) -> None:
        """Open the source and read it to its end."""
        if not self._is_free():
            return
        self._status.connecting()
        self._status.forget_notes()
        self._thread_id, self._hung_up = threading.get_native_id(), ""
        with self._open() as source:
            self._opened(source)
            try:
                if isinstance(source, RtspSource):
                    self._follow(source)
                elif isinstance(source, ContainerSource) and source.endless:
                    self._watch(source)
                else:
                    self._play(source)
            finally:
                self._read_from = self._line = self._live_decoding = None
                self._frames.closed()
        if not self.stopping.is_set():
            self._status.down(ENDED, "played to its end")
            self.stopping.set()

    def failed(self, error: Exception) -> float:
        """Show the fault as the stream's state; return how long to wait before the next try."""
        if self.stopping.is_set():  # we may have hung up ourselves
            return 0.0
        reason, text = (
            (error.reason, str(error)) if isinstance(error, SourceError) else ("failed", str(error))
        )
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
        """Wait for the next try, less long where the camera is there again or `hurry` is called."""
        self._retry.wait(wait_s, self.stopping)

    def ended(self) -> None:
        """Nobody needs its decoder any more."""
        self._spare = None

    def hurry(self) -> None:
        """Log in again now, if that is what is waited for."""
        self._retry.hurry()

    def wake(self) -> None:
        """Let go of a camera that sends no video, which would keep this thread in its read."""
        source = self._read_from
        if isinstance(source, RtspSource):
            source.wake()
        self._hang_up_after(_LEAVING_S, NO_VIDEO)

    def _look(self) -> None:
        """Called twice a second, on another thread."""
        source, line, decoding = self._read_from, self._line, self._live_decoding
        self._meter.camera_clock_told(None if source is None else source.camera_offset_s)
        if isinstance(source, RtspSource) and source.unmarked:
            self._status.noted("marks", "one frame late: the camera does not mark where its pictures end")
        if decoding is not None:
            decoding.look()
        if line is not None:
            line.find(self._thread_id, datagrams=self._config.transport == "udp")
        silence_s = self._config.read_timeout_s
        self._hang_up_after(silence_s, NO_DATA, silent_s=silence_s)
        self._hang_up_after(NO_VIDEO_PATIENCE * silence_s, NO_VIDEO)
        self._tell_of_key_frame()

    def _hang_up_after(self, waited_s: float, why: str, silent_s: float = 0.0) -> None:
        source = self._read_from
        if not isinstance(source, ContainerSource) or source.kind != "rtsp":
            return
        if self._clock.monotonic() - source.heard_s > waited_s:
            self._hung_up = why  # before, for the reader may be quick, and clear it
            if not hang_up(self._thread_id, silent_s):
                self._hung_up = ""

    def _tell_of_key_frame(self) -> None:
        source = self._read_from
        if source is None or self._status.current.state != "connecting":
            return
        if source.heard_s - self._opened_s >= _NO_PICTURE_S:
            self._status.awaiting_key_frame()

    def _is_free(self) -> bool:
        """Whether nobody else reads the stream any more; waits a moment if somebody does."""
        self._before = [each for each in self._before if each.alive]
        for each in self._before:
            each.wake()
        if self._before:
            self.stopping.wait(_LOOK_S)
        return not self._before

    def _open(self) -> ContainerSource | RtspSource | FolderSource:
        if kind_of(self._url) == "folder":
            return FolderSource(self._url, self._meter)
        if not self._by_ffmpeg:
            try:
                return self._open_rtsp()
            except UnsupportedError as error:
                self._by_ffmpeg = True
                log.info("read_by_ffmpeg", stream=self._config.id, reason=str(error))
        if is_unverified(self._url, self._config) and not self._warned:
            self._warned = True
            log.warning("tls_unverified", stream=self._config.id, text=_UNVERIFIED)
        self._line = Line()
        return ContainerSource(
            self._url, self._config, self._clock, self._meter, self._choice, self._fell_back, self._line
        )

    def _open_rtsp(self) -> RtspSource:
        reactor, fell_back = self._ingest.reactor, self._fell_back
        source = RtspSource(
            self._url,
            self._config,
            self._clock,
            self._meter,
            reactor,
            self._choice,
            fell_back,
            self.stopping,
            self._spare,
        )
        self._spare = None
        return source

    def _fell_back(self, why: str) -> None:
        """Show that the CPU decodes what NVDEC should. The next connection tries NVDEC again, which costs nothing."""
        self._meter.decoder_fell_back()
        self._status.noted("decoder", f"decoded on the CPU: {why}")
        self._frames.decoder_changed("cpu")
        if why != self._refusal:
            self._refusal = why
            log.warning("decoder_fallback", stream=self._config.id, reason=why)

    def _opened(self, source: ContainerSource | RtspSource | FolderSource) -> None:
        self._retry.accepted()
        self._opened_s = self._clock.monotonic()
        if isinstance(source, ContainerSource) and source.parser_reason:
            late = f"read through FFmpeg's parser, one frame late: {source.parser_reason}"
            self._status.noted("parser", late)
        self._frames.opened(source)

    def _follow(self, source: RtspSource) -> None:
        """Have what is live read and decoded by others, until it ends or is stopped; open its decoder here."""
        self._read_from = source
        decoding = self._decoding(source.decoder, resumes=source.resumes)
        proof = _Proof(self._clock, self._backoff)
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

    def _watch(self, source: ContainerSource) -> None:
        """Read what is live as fast as it comes, and have it decoded beside; returns when it is stopped."""
        self._read_from = source
        decoding = self._decoding(source.decoder)
        pacer = None if source.paced else _PiecePacer(self._clock, self.stopping)
        proof = _Proof(self._clock, self._backoff)
        try:
            for unit in source.units():
                if self.stopping.is_set():
                    return
                if self._hung_up:  # what the decoder still held is no sign of life
                    raise SourceError("timeout", self._hung_up)
                decoding.put(unit if pacer is None else pacer.hold(unit))
                decoding.advance()
                proof.look()
            decoding.finish(self._config.late_ms / 1e3)
            source.check_end()
        finally:
            decoding.close()

    def _decoding(self, decoder: UnitDecoder, *, resumes: bool = False) -> LiveDecoding:
        config, clock, meter = self._config, self._clock, self._meter
        late_s, economy = config.late_ms / 1e3, Economy(config.fps)
        waiting = UnitQueue(late_s, economy, clock, self._frames.skipped, resumes=resumes)
        pools, status = self._ingest.pools, self._status
        self._live_decoding = LiveDecoding(decoder, waiting, self._frames, pools, status, meter, clock)
        return self._live_decoding

    def _play(self, source: Source) -> None:
        """Read, decode and show at its own pace what is recorded, once or again and again."""
        pacer = None if self._wait else RealtimePacer(self._clock, self.stopping)
        started_s = self._clock.monotonic()
        while not self.stopping.is_set():
            seen = False
            for decoded in source.pictures():
                if self.stopping.is_set():
                    return
                if self._hung_up:  # what the decoder still held is no sign of life
                    raise SourceError("timeout", self._hung_up)
                seen = True
                self._frames.take(decoded, pacer)
                del decoded  # a picture may not stay here while the next one is awaited
                if self._clock.monotonic() - started_s > _PROVEN_S:
                    self._backoff.reset()
            if not seen:
                # Not the end of a film, and in a loop it would be tried again without a pause.
                raise SourceError("undecodable", "there is no picture in it that can be decoded")
            if not self._config.loop:
                return
            self._frames.restarted()
            source.rewind()


class _Proof:
    """Lets the waits for the next tries begin anew once a connection has lasted for a while."""

    def __init__(self, clock: Clock, backoff: Backoff) -> None:
        self._clock = clock
        self._backoff = backoff
        self._due_s: float | None = clock.monotonic() + _PROVEN_S

    def look(self) -> None:
        """Look whether it has lasted."""
        if self._due_s is not None and self._clock.monotonic() > self._due_s:
            self._backoff.reset()
            self._due_s = None


class _PiecePacer:
    """Holds units of a stream that comes in pieces of some seconds back until their time has come."""

    def __init__(self, clock: Clock, stopping: threading.Event) -> None:
        self._clock = clock
        self._pacer = RealtimePacer(clock, stopping)
        self._timeline = Timeline()

    def hold(self, unit: Unit) -> Unit:
        """The unit, when it is due: that is when it has arrived."""
        packet = unit.packet
        at = packet.pts if packet.dts is None else packet.dts
        self._pacer.wait(self._timeline.place(None if at is None else float(at * packet.time_base)))
        return unit._replace(arrival=arrival_now(self._clock))
