"""Takes the broker or the disk away from a daemon while crowds cross its lines, and checks what a consumer got."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from lab.crowd import RULES, numbered_clip, walking, write_crowd_model
from lab.event_soak import EventSoak, disk_of
from lab.event_source import STREAMS
from lab.neighbors import camera_child
from lab.script import FAKE_CAMERAS
from lab.small_disk import small_file_system

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from framelane.measure.host import Host
    from framelane.measure.process import Child
    from lab.event_soak import EventsReport

_OBJECTS, _FPS, _FRAMES = 15, 10, 600
"""Of each camera."""
_DISK = "96m"
_START_S = 20.0


def endure(
    folder: Path,
    *,
    outage_s: float = 0.0,
    full_disk_s: float = 0.0,
    host: Host | None = None,
    command: str = "",
) -> EventsReport:
    """Take the broker away for some seconds, then fill the disk for some; 0 leaves that out.

    Raises:
        BenchError: daemon, cameras or broker do not start, events are missing, or this user may not mount.
    """
    with ExitStack() as held:
        disk = disk_of(folder)
        if full_disk_s:
            held.enter_context(small_file_system(disk, _DISK))
        clip = numbered_clip(folder / "crowd.mp4", 0, _FRAMES, _FPS)
        cameras = held.enter_context(camera_child(folder, FAKE_CAMERAS, [clip], len(STREAMS)))
        model = write_crowd_model(folder / "crowd.onnx", walking(_OBJECTS, _FRAMES))
        sections = {
            # On a full disk, new events would take the place of a history.
            "journal": {"folder": str(disk / "journal"), "history_events": 0},
            "models": {"crowd": {"path": str(model)}},
            "streams": [{"id": stream, "url": cameras.read_line(_START_S), **RULES} for stream in STREAMS],
        }
        trial = held.enter_context(EventSoak(folder, 1, sections))
        troubles: list[Callable[[Child], None]] = []
        if outage_s:
            troubles.append(partial(trial.lose_broker, seconds=outage_s))
        if full_disk_s:
            troubles.append(partial(trial.lose_disk, seconds=full_disk_s))
        trial.live_and_stop(*troubles)
        return trial.report(host, command)
