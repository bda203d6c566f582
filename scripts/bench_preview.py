#!/usr/bin/env python3
"""How far apart in time boxes and pictures are on the live page, if it plays a camera's sub-stream.

    scripts/bench_preview.py [--seconds 60]

Both streams of a camera on the demo's RTSP server show the same clock. The boxes tell the clock of the frame in
which they were found, and headless Chromium reads the clock of the frame on which the page draws them. The
server sends a picture when its event loop comes to it, so a busy machine blurs its clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.preview_scene import PreviewScene, Shown, errors_ms
from tests.browser.reading import READ_NUMBERS

from framelane.core.log import setup
from lab.browser import CHROMIUM, WITHOUT, Browser

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE = Shown((1280, 720))
SMALL = Shown((640, 360), 15)
SETTLE_S = 8.0
CASES: dict[str, dict[str, Any]] = {
    "sender reports, objects with ids": {},
    "sender reports, no ids": {"track": False},
    "arrival only, objects with ids": {"reports": False},
    "arrival only, no ids": {"reports": False, "track": False},
}
SHARES = (50, 95, 99)


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch in each case")
    arguments = parser.parse_args()
    if not CHROMIUM:
        sys.exit(WITHOUT)
    setup("error", "console")
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        for name, case in CASES.items():
            late_ms = measure(browser, Path(folder), arguments.seconds, **case)
            print(f"{name:<34} {summary(late_ms)}", flush=True)


def measure(
    browser: Browser, folder: Path, seconds: float, *, track: bool = True, reports: bool = True
) -> list[float]:
    """Return how late the boxes are on each frame that has some, in milliseconds."""
    with PreviewScene(folder, WHOLE, SMALL, track=track) as scene:
        if not reports:
            for name in ("whole", "small"):
                scene.server.camera(name).stop_reports()
        with browser.open(scene.url, before=READ_NUMBERS) as tab:
            tab.wait_for("window.shown.some((each) => !each.still)")
            time.sleep(SETTLE_S)
            tab.run("window.shown = []")
            time.sleep(seconds)
            return errors_ms(tab.run("window.shown.filter((each) => !each.still)"))


def summary(late_ms: Sequence[float]) -> str:
    """Return the median, and percentiles of the distance."""
    middle = sorted(late_ms)[len(late_ms) // 2]
    apart = sorted(abs(each) for each in late_ms)
    shares = ", ".join(f"p{share} {apart[len(apart) * share // 100]:.0f}" for share in SHARES)
    return f"{len(late_ms)} frames: boxes {middle:+.0f} ms in the median; apart {shares} ms"


if __name__ == "__main__":
    main()
