"""Puts datagrams back into order, with a short limit on the wait for a missing one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.sources.rtsp.rtp import RtpReceiver

MOST_HELD = 128
"""Packets.

A key frame sends hundreds within milliseconds, but few networks delay one packet behind so much.
"""
WAIT_S = 0.05
"""How long to wait for a delayed packet, in seconds.

A lost packet delays the ones behind it by at most this.
"""
# RFC 3550 appendix A.1: a larger step ahead is a restart.
_FAR = 3000
_BEHIND = 1 << 16


class ReorderWindow:
    """Forwards datagrams in the order of their sequence numbers, each once.

    A packet that is missing when the wait ends is skipped, and the receiver sees the gap. If it comes later,
    it is dropped.

    Args:
        receiver: takes the packets.
    """

    def __init__(self, receiver: RtpReceiver) -> None:
        self._receiver = receiver
        self._held: dict[int, tuple[bytes, float]] = {}
        self._next = 0
        self._usual = b""
        """The next sequence number, as bytes of a packet."""
        self._sources = 0
        self._since_s = 0.0
        self._jump: tuple[int, bytes, float] | None = None

    @property
    def due_s(self) -> float | None:
        """The monotonic time at which to call `release`; None while nothing is missing."""
        return self._since_s + WAIT_S if self._held else None

    def take_all(self, packets: list[bytes], read_s: float) -> None:
        """Take datagrams that were read at once."""
        at = 0
        while at < len(packets):
            run = 0 if self._held else self._receiver.take_fragment_packets(packets, at, read_s)
            if run:
                self._expect(self._next + run)
            else:
                self.take(packets[at], read_s)
            at += run or 1

    def take(self, packet: bytes, read_s: float) -> None:
        """Take a datagram that was read at this monotonic time."""
        if not self._held and packet[2:4] == self._usual:
            if self._receiver.take(packet, 0, len(packet), read_s):
                self._expect(self._next + 1)
                self._sources = self._receiver.sources
            return
        sequence = self._receiver.admit(packet, read_s)
        if sequence is None:
            return
        if self._sources != self._receiver.sources:
            self._sources = self._receiver.sources
            self._begin(sequence)
        if self._held and read_s - self._since_s >= WAIT_S:
            self.release(read_s)
        ahead = (sequence - self._next) & 0xFFFF
        if ahead == 0:
            self._hand_on(packet, read_s)
            if self._held:
                self._drain()
        elif ahead < _FAR:
            self._hold(sequence, packet, read_s)
        elif ahead >= _BEHIND - MOST_HELD:
            self._receiver.late()
        else:
            self._leap(sequence, packet, read_s)

    def release(self, now_s: float) -> None:
        """Skip packets whose wait is over."""
        while self._held and now_s - self._since_s >= WAIT_S:
            self._skip()

    def flush(self) -> None:
        """Forward all held packets: the stream has ended."""
        while self._held:
            self._skip()

    def _begin(self, sequence: int) -> None:
        """Start with a new source. Held packets of the old one are dropped."""
        self._held.clear()
        self._expect(sequence)
        self._jump = None

    def _hand_on(self, packet: bytes, read_s: float) -> None:
        self._expect(self._next + 1)
        self._receiver.take(packet, 0, len(packet), read_s)

    def _expect(self, sequence: int) -> None:
        self._next = sequence & 0xFFFF
        self._usual = self._next.to_bytes(2, "big")

    def _hold(self, sequence: int, packet: bytes, read_s: float) -> None:
        if sequence in self._held:
            self._receiver.late()
            return
        if not self._held:
            self._since_s = read_s
        self._held[sequence] = packet, read_s
        if len(self._held) > MOST_HELD:
            self._skip()

    def _skip(self) -> None:
        """Continue with the first held packet."""
        self._expect(min(self._held, key=lambda sequence: (sequence - self._next) & 0xFFFF))
        self._drain()

    def _drain(self) -> None:
        while (found := self._held.pop(self._next, None)) is not None:
            self._hand_on(*found)
        if self._held:
            # Another gap; its wait began with the first packet behind it.
            self._since_s = min(read_s for _, read_s in self._held.values())

    def _leap(self, sequence: int, packet: bytes, read_s: float) -> None:
        """Handle a packet far from the expected one.

        Two in a row are a restarted camera; one alone is an error.
        """
        before, self._jump = self._jump, (sequence, packet, read_s)
        if before is None or sequence != (before[0] + 1) & 0xFFFF:
            return
        self.flush()
        self._expect(before[0])
        self._jump = None
        self._hand_on(*before[1:])
        self._hand_on(packet, read_s)
