"""One live camera: a clip looping on its own timeline, sent to all its clients."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from framelane.demo.rtsp.auth import AuthScheme, Credentials
from framelane.demo.rtsp.clock import CameraClock, sender_report, wall_of
from framelane.demo.rtsp.faults import Faults, spoil
from framelane.demo.rtsp.packets import HEADER_BYTES, AccessUnit, load_clip
from framelane.demo.rtsp.sdp import describe

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from framelane.demo.rtsp.subscriber import Subscriber

# The minimum interval of RFC 3550 6.2.
REPORT_EVERY_S = 5.0
# After a pause of the host, the missed frames are not sent.
MAX_LATE_S = 1.0
# Pictures that come out of order are stamped with the nominal time, so a delay of the host would never end.
MOST_BEHIND_S = 0.05
# Two minutes at 25 frames/s.
HISTORY_FRAMES = 3000
HISTORY_PLAYS = 1000


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """What a camera shows, and to whom.

    `phase_s` is where in the clip the camera is when the server starts. `start_at_keyframe` makes a new
    client wait for a key frame. `sprop` and `in_band` say whether parameter sets are in the SDP and before
    each key frame. `sdp` replaces the description (for codecs that no client supports).
    """

    path: str
    clip: Path
    username: str | None = None
    password: str | None = None
    auth: AuthScheme = "digest"
    phase_s: float = 0.0
    start_at_keyframe: bool = False
    sprop: bool = True
    in_band: bool = True
    sdp: str | None = None

    @property
    def credentials(self) -> Credentials | None:
        """The login that a client must present, or None."""
        if self.username is None:
            return None
        return Credentials(self.username, self.password or "", self.auth)


@dataclass(frozen=True, slots=True)
class CameraStats:
    """Counters since start; a frame counts once per client. Lateness is that of sending, in milliseconds.

    `plays_s` are the monotonic start times that RTP-Info gave the last clients. FFmpeg counts from there: a
    frame with pts p was captured at that time plus p.
    """

    path: str
    clients: int
    frames_sent: int
    frames_dropped: int
    late_max_ms: float
    late_mean_ms: float
    plays_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SentFrames:
    """Frames in the order in which they were sent.

    Attributes:
        newest: which of all frames sent the last one is, from 0; -1 if none has been sent.
        frames: their numbers in the clip.
    """

    newest: int
    frames: tuple[int, ...]


class LiveCamera:
    """Runs on the server's loop thread, where all methods are called."""

    def __init__(self, spec: CameraSpec, random: Random) -> None:
        self.spec = spec
        self.faults = Faults()
        self._random = random
        self._ssrc = random.getrandbits(32)
        self._sequence = random.getrandbits(16)
        self._clock = CameraClock(time.monotonic(), random.getrandbits(32))
        # The value says whether the client still waits for a key frame.
        self._subscribers: dict[Subscriber, bool] = {}
        self._frame_timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._sent_at: deque[tuple[float, int]] = deque(maxlen=HISTORY_FRAMES)
        # All frames, also those that are forgotten.
        self._captured_frames = 0
        self._plays_s: deque[float] = deque(maxlen=HISTORY_PLAYS)
        self._packets = self._octets = 0
        self._frames_sent = self._frames_dropped = self._ticks = 0
        self._late_max_s = self._late_sum_s = 0.0
        self.load(spec.clip, phase_s=spec.phase_s)

    def load(self, clip: Path, *, phase_s: float = 0.0) -> None:
        """Show `clip` from `phase_s` on. Raise `ClipError`."""
        self._clip = load_clip(clip, in_band=self.spec.in_band)
        self._index = 0
        # When the current loop of the clip began.
        self._epoch_s = time.monotonic() - phase_s
        self._reschedule()

    @property
    def sdp(self) -> str:
        """The session description that DESCRIBE returns."""
        return self.spec.sdp or describe(self._clip, sprop=self.spec.sprop)

    @property
    def stats(self) -> CameraStats:
        """The current counters."""
        mean_s = self._late_sum_s / max(1, self._ticks)
        return CameraStats(
            path=self.spec.path,
            clients=len(self._subscribers),
            frames_sent=self._frames_sent,
            frames_dropped=self._frames_dropped,
            late_max_ms=round(self._late_max_s * 1e3, 3),
            late_mean_ms=round(mean_s * 1e3, 3),
            plays_s=tuple(self._plays_s),
        )

    def start_position(self) -> tuple[int, int]:
        """Return the next sequence number and the RTP time for a client that starts now (RFC 2326 12.33)."""
        now_s = time.monotonic()
        self._plays_s.append(now_s)
        return self._sequence, self._clock.rtp(now_s)

    def frame_at(self, captured_s: float, tolerance_s: float) -> int | None:
        """Return the clip's frame (in presentation order) that was captured at this wall time, if any."""
        nearest = min(self._sent_at, key=lambda sent: abs(sent[0] - captured_s), default=None)
        if nearest is None or abs(nearest[0] - captured_s) > tolerance_s:
            return None
        return nearest[1]

    def sent_until(self, captured_s: float, after: int | None) -> SentFrames:
        """Return what was sent until the frame that was captured nearest to this wall time; see `Camera.sent_until`."""
        sent = self._sent_at
        at = bisect_left(sent, captured_s, key=lambda each: each[0])
        if at == len(sent) or (at and captured_s - sent[at - 1][0] < sent[at][0] - captured_s):
            at -= 1
        oldest = self._captured_frames - len(sent)
        first = max(at if after is None else after + 1 - oldest, 0)
        return SentFrames(oldest + at, tuple(frame for _, frame in islice(sent, first, at + 1)))

    def subscribe(self, subscriber: Subscriber) -> None:
        """Start delivering, after a sender report."""
        idle = not self._subscribers
        self._subscribers[subscriber] = self.spec.start_at_keyframe
        if not self.faults.no_rtcp and not self.faults.paused:
            subscriber.send_rtcp(self._report())
        if idle:
            self._seek_now()
            self._reschedule()
            self._report_timer = asyncio.get_running_loop().call_later(REPORT_EVERY_S, self._send_reports)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop delivering; an unknown subscriber is ignored."""
        if self._subscribers.pop(subscriber, None) is not None and not self._subscribers:
            self.close()

    def close(self) -> None:
        """Forget the clients and stop the timers."""
        self._subscribers.clear()
        for timer in (self._frame_timer, self._report_timer):
            if timer is not None:
                timer.cancel()
        self._frame_timer = self._report_timer = None

    def misbehave(self, faults: Faults) -> None:
        """Apply these faults. A paused camera continues with the frame before which it stopped."""
        was_paused, self.faults = self.faults.paused, faults
        self._clock = replace(self._clock, offset_s=faults.clock_offset_s, drift_ppm=faults.clock_drift_ppm)
        if was_paused and not faults.paused:
            self._epoch_s = time.monotonic() - self._clip.units[self._index].send_s
        self._reschedule()

    def _seek_now(self) -> None:
        """Skip the time without clients."""
        elapsed_s = time.monotonic() - self._epoch_s
        loops, position_s = divmod(elapsed_s, self._clip.duration_s)
        self._epoch_s += loops * self._clip.duration_s
        self._index = bisect_left(self._clip.units, position_s, key=lambda unit: unit.send_s)
        if self._index == len(self._clip.units):
            self._next_loop()

    def _next_loop(self) -> None:
        self._index = 0
        self._epoch_s += self._clip.duration_s

    def _reschedule(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None
        if self._subscribers and not self.faults.paused:
            due_s = self._epoch_s + self._clip.units[self._index].send_s
            self._frame_timer = asyncio.get_running_loop().call_at(due_s, self._send_due, due_s)

    def _send_due(self, due_s: float) -> None:
        now_s = time.monotonic()
        unit = self._clip.units[self._index]
        late_s = now_s - due_s
        most_s = MOST_BEHIND_S if self._clip.reorders and unit.key else MAX_LATE_S
        if late_s > most_s:
            self._epoch_s += late_s
            due_s = now_s
        self._note_lateness(late_s)
        # Without B-frames, a frame is sent exactly when it is captured; with them, the nominal timeline
        # counts.
        captured_s = (due_s + unit.lead_s) if self._clip.reorders else now_s
        self._send_unit(unit, captured_s)
        self._index += 1
        if self._index == len(self._clip.units):
            self._next_loop()
        next_s = self._epoch_s + self._clip.units[self._index].send_s
        self._frame_timer = asyncio.get_running_loop().call_at(next_s, self._send_due, next_s)

    def _send_unit(self, unit: AccessUnit, captured_s: float) -> None:
        block = unit.stamped(self._sequence, self._clock.rtp(captured_s), self._ssrc)
        self._sequence = (self._sequence + len(unit.offsets)) & 0xFFFF
        self._packets += len(unit.offsets)
        self._octets += len(unit.framed) - len(unit.offsets) * (4 + HEADER_BYTES)
        self._sent_at.append((wall_of(captured_s), unit.frame))
        self._captured_frames += 1
        if self.faults.touches_packets:
            block = spoil(block, self.faults, self._random)
        for subscriber, waits_for_key in self._subscribers.items():
            if waits_for_key and not unit.key:
                continue
            self._subscribers[subscriber] = False
            if subscriber.send_frame(block):
                self._frames_sent += 1
            else:
                self._frames_dropped += 1

    def _note_lateness(self, late_s: float) -> None:
        self._ticks += 1
        self._late_sum_s += late_s
        self._late_max_s = max(self._late_max_s, late_s)

    def _report(self) -> bytes:
        return sender_report(self._clock, self._ssrc, self._packets, self._octets)

    def _send_reports(self) -> None:
        if not self.faults.no_rtcp and not self.faults.paused:
            report = self._report()
            for subscriber in self._subscribers:
                subscriber.send_rtcp(report)
        self._report_timer = asyncio.get_running_loop().call_later(REPORT_EVERY_S, self._send_reports)
