"""Counts what truly happened in front of the demo's cameras, in just the frames that the daemon has answered."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from framelane.core.worker import Worker
from framelane.demo.clips import load_truth
from framelane.demo.scene import Scene
from framelane.demo.street_rules import TrueCount, clearest_line, true_crossings, true_occupancy, zone_polygon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from framelane.core.events import Direction
    from framelane.demo.rtsp.camera import SentFrames
    from framelane.demo.street_rules import TrueCrossing
    from framelane.demo.watcher import Watcher

LINE, ZONE = "street", "stretch"
"""Names of the rules in the daemon's configuration."""
_EVERY_S = 1.0
_SIDES: dict[int, Direction] = {-1: "left", 1: "right"}


@dataclass(frozen=True, slots=True)
class Street:
    """What a clip shows, frame by frame.

    Attributes:
        frames: how many one loop has.
        rules: `lines` and `zones` of a stream that shows it, as in its configuration.
        crossings: those of one loop.
        inside: objects in the zone, for each frame of the loop; empty without a zone.
    """

    frames: int
    rules: dict[str, object]
    crossings: tuple[TrueCrossing, ...]
    inside: tuple[TrueCount, ...]


def read_street(clip: Path) -> Street:
    """Return the rules and the truth of a clip of `ensure_clips`."""
    truth = load_truth(clip)
    scene = Scene(truth.seed, truth.size_wh, truth.fps, len(truth.frames) / truth.fps)
    counting = [frozenset(frame.actor[~frame.ignore].tolist()) for frame in truth.frames]
    shown = [frozenset(frame.actor.tolist()) for frame in truth.frames]
    line = clearest_line(scene, counting)
    if line is None:
        return Street(len(truth.frames), {}, (), ())
    rules: dict[str, object] = {"lines": {LINE: {"points": _shares(line.points, scene)}}}
    zone = zone_polygon(scene, line)
    if len(zone):
        rules["zones"] = {ZONE: {"polygon": _shares(zone, scene)}}
    return Street(
        len(truth.frames),
        rules,
        tuple(true_crossings(scene, line, counting)),
        tuple(true_occupancy(scene, line, counting, shown)) if len(zone) else (),
    )


def _shares(points: NDArray[np.float64], scene: Scene) -> list[list[float]]:
    """Return pixels as shares of the image, from 0 to 1."""
    shares: list[list[float]] = (points / scene.size_wh).round(4).tolist()
    return shares


class Tally:
    """Counts the crossings of one street in frames that were shown one after the other.

    Args:
        street: the street.
    """

    def __init__(self, street: Street) -> None:
        self._street = street
        self._frame: int | None = None
        self._crossed = dict.fromkeys(_SIDES.values(), TrueCount(0, 0))

    @property
    def inside(self) -> TrueCount | None:
        """Objects in the zone in the newest frame; None before the first, and without a zone."""
        return None if self._frame is None or not self._street.inside else self._street.inside[self._frame]

    def crossed(self, direction: Direction) -> TrueCount:
        """Return the crossings in one direction so far."""
        return self._crossed[direction]

    def show(self, frame: int) -> None:
        """Take the next frame, given by its number in the loop. Between frames that do not follow, nothing counts."""
        follows = self._frame is not None and frame == (self._frame + 1) % self._street.frames
        self._frame = frame
        for each in self._street.crossings:
            if follows and each.frame == frame:
                self._crossed[_SIDES[each.side]] += TrueCount(int(not each.doubtful), int(each.doubtful))


class LoopingCamera(Protocol):
    """A camera that remembers which frames of its clip it has sent."""

    def sent_until(self, captured_s: float, after: int | None) -> SentFrames:
        """Return the frames sent after one of them, up to that captured at a time (Unix, in seconds)."""
        ...


class Referee(Worker):
    """Keeps a tally per stream, on its own thread.

    A tally begins with the first frame for which a subscriber got a result, as the daemon's rules do, and goes as far
    as the newest one.

    Args:
        cameras: the streams' cameras.
        streets: what they show.
        watcher: knows what the daemon has published.
    """

    def __init__(
        self, cameras: Mapping[str, LoopingCamera], streets: Mapping[str, Street], watcher: Watcher
    ) -> None:
        super().__init__("referee")
        self._cameras = cameras
        self._watcher = watcher
        self._tallies = {name: Tally(street) for name, street in streets.items()}
        # Which of all frames sent was the newest so far.
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()

    def of(self, stream: str) -> Tally:
        """Return the tally of a stream."""
        return self._tallies[stream]

    def run_once(self) -> None:
        """Wait a second, then look at the frames that were sent meanwhile."""
        self.stopping.wait(_EVERY_S)
        self.look()

    def look(self) -> None:
        """Take the frames up to the newest result of each stream. Thread-safe."""
        with self._lock:
            for name, tally in self._tallies.items():
                self._look_at(name, tally)

    def _look_at(self, name: str, tally: Tally) -> None:
        watched = self._watcher.of(name)
        if watched.first is None or watched.last is None:
            return
        camera = self._cameras[name]
        if name not in self._newest:
            self._show(name, tally, camera.sent_until(_captured_s(watched.first), None))
        self._show(name, tally, camera.sent_until(_captured_s(watched.last), self._newest[name]))

    def _show(self, name: str, tally: Tally, sent: SentFrames) -> None:
        self._newest[name] = max(sent.newest, self._newest.get(name, -1))
        for frame in sent.frames:
            tally.show(frame)


def _captured_s(message: dict[str, Any]) -> float:
    # Python 3.10 does not read the Z.
    return datetime.fromisoformat(message["captured_at"].replace("Z", "+00:00")).timestamp()
