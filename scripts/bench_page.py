#!/usr/bin/env python3
"""What the live page costs, and what a browser shows of it.

    scripts/bench_page.py                          what each part takes, in microseconds
    scripts/bench_page.py --browser --streams 16   the demo in headless Chromium: frames shown, latency, boxes
    scripts/bench_page.py --browser --pictures docs/images   the same, and pictures of the page
    scripts/bench_page.py --viewers 4 --seconds 30 --rounds 5   what pages take from inference, one of them frozen

The demo's cameras, broker and model run on the same machine as the browser, which decodes in software. The
demo has a lower priority, because its model takes all the time that it gets.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from lab.browser import CHROMIUM, WITHOUT, Browser
from lab.page_parts import measure_parts
from lab.page_viewers import Viewers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.browser import Tab

WALL = (1280, 800)
PHONE = (360, 740)
PORT = 8470
URL = f"http://127.0.0.1:{PORT}/"
START_S = 180.0
SETTLE_S = 10.0
NOTE_FRAMES = """
window.shown = [];
document.addEventListener("framelane:shown", ({ detail }) => {
  const { stream, still = false, media, captured, exact, found } = detail;
  const boxes = found.reduce((sum, each) => sum + each.boxes.length, 0);
  window.shown.push({ stream, still, media, exact, boxes, late: captured ? Date.now() / 1000 - captured : null });
});
window.busy = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.busy += entry.duration;
}).observe({ type: "longtask", buffered: true });
"""


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--browser", action="store_true", help="run the demo and a browser")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to watch")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the page")
    parser.add_argument("--viewers", type=int, help="pages without a browser; the last one reads nothing")
    parser.add_argument("--rounds", type=int, default=3, help="windows without and with viewers, in turns")
    arguments = parser.parse_args()
    if arguments.viewers:
        with demo(arguments.streams) as process:
            print(json.dumps(compare(process, arguments), indent=2))
        return
    if not arguments.browser:
        for name, figure in measure_parts().items():
            print(f"{name:<58} {figure}")
        return
    if not CHROMIUM:
        sys.exit(WITHOUT)
    with tempfile.TemporaryDirectory() as folder, demo(arguments.streams) as process:
        idle_cores = cores(process, SETTLE_S)
        with Browser(Path(folder)) as browser:
            with browser.open(URL, WALL, before=NOTE_FRAMES) as tab:
                print(json.dumps(watch(tab, process, arguments.seconds, idle_cores), indent=2))
                if arguments.pictures:
                    tab.screenshot(arguments.pictures / "page-wall.webp")
            if arguments.pictures:
                take_pictures(browser, arguments.pictures)


@contextmanager
def demo(streams: int) -> Iterator[psutil.Process]:
    """Run the demo until the block ends."""
    options = ["--streams", str(streams), "--port", str(PORT), "--json"]
    command = ["nice", "-n", "10", sys.executable, "-m", "framelane", "demo", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + START_S
        while live() < streams:
            if process.poll() is not None or time.monotonic() > deadline_s:
                sys.exit("the demo does not start")
            time.sleep(1.0)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def live() -> int:
    """Return how many cameras are live."""
    try:
        node = httpx.get(f"{URL}api/status", timeout=5).json()["node"]
    except httpx.HTTPError:
        return 0
    count: int = node["streams_live"]
    return count


def cores(process: psutil.Process, seconds: float) -> float:
    """Return the processor cores that a process uses."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return float(after.user + after.system - before.user - before.system) / seconds


def compare(process: psutil.Process, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the inference rates without and with viewers, in turns, and the demo's memory."""
    streams = [each["id"] for each in httpx.get(f"{URL}api/status", timeout=5).json()["streams"]]
    without, seen, read, rss_mib = [], [], [], []
    for _ in range(arguments.rounds):
        without.append(rate(arguments.seconds))
        with Viewers(URL, arguments.viewers, streams) as viewers:
            time.sleep(SETTLE_S)
            before = list(viewers.received)
            seen.append(rate(arguments.seconds))
            read.append([end - begin for begin, end in zip(before, viewers.received, strict=True)])
        rss_mib.append(round(process.memory_info().rss / 2**20, 1))
    ratios = [after / before for before, after in zip(without, seen, strict=True)]
    return {
        "inferred_per_s_without": round(statistics.median(without), 1),
        "inferred_per_s_with": round(statistics.median(seen), 1),
        "with_to_without": [
            round(value, 3) for value in (min(ratios), statistics.median(ratios), max(ratios))
        ],
        "kB_per_s_of_each_viewer": [
            round(sum(each) / arguments.seconds / len(read) / 1e3) for each in zip(*read, strict=True)
        ],
        "rss_mib_after_each_round": rss_mib,
    }


def rate(seconds: float) -> float:
    """Return the frames that the demo infers per second, all cameras together."""
    before, began_s = inferred(), time.monotonic()
    time.sleep(seconds)
    return (inferred() - before) / (time.monotonic() - began_s)


def inferred() -> float:
    """Return how many frames the demo has inferred."""
    text = httpx.get(f"{URL}metrics", timeout=5).text
    return sum(map(float, re.findall(r"^framelane_frames_inferred_total\S* (\S+)$", text, re.MULTILINE)))


def watch(tab: Tab, process: psutil.Process, seconds: float, idle_cores: float) -> dict[str, Any]:
    """Watch the wall, and return what was shown and what it cost."""
    tab.wait_for("window.shown.length > 0")
    time.sleep(SETTLE_S)
    rss_before = process.memory_info().rss
    tab.run("window.shown = []; window.busy = 0; window.began = performance.now()")
    used_cores = cores(process, seconds)
    shown: list[dict[str, Any]] = tab.run("window.shown")
    busy = tab.run("window.busy / (performance.now() - window.began)")
    status = httpx.get(f"{URL}api/status", timeout=5).json()
    rates = {each["id"]: each["figures"]["fps_in"] for each in status["streams"] if each["figures"]}
    return {
        "cameras": len(rates),
        "video": summary([each for each in shown if not each["still"]], rates, seconds),
        "stills_per_s_and_camera": round(
            sum(each["still"] for each in shown) / seconds / max(len(rates), 1), 2
        ),
        "main_thread_in_long_tasks": round(busy, 3),
        "demo_cores_without_and_with_viewer": [round(idle_cores, 2), round(used_cores, 2)],
        "rss_grew_mib": round((process.memory_info().rss - rss_before) / 2**20, 1),
        "complaints": tab.complaints,
    }


def summary(frames: list[dict[str, Any]], rates: dict[str, float], seconds: float) -> dict[str, Any] | None:
    """Return the share of frames shown, of those with their own boxes, and the latency."""
    if not frames:
        return None
    streams = {each["stream"] for each in frames}
    due = sum(rates[stream] for stream in streams) * seconds
    late = sorted(each["late"] for each in frames if each["late"] is not None)
    return {
        "streams": len(streams),
        "shown_of_received": round(len(frames) / due, 3),
        "inferred_frames_with_their_boxes": sum(each["exact"] for each in frames),
        "frames_between_with_moved_boxes": sum(not each["exact"] and each["boxes"] > 0 for each in frames),
        "capture_to_screen_ms": {
            f"p{share}": round(1e3 * late[min(int(len(late) * share / 100), len(late) - 1)])
            for share in (50, 95)
        },
    }


def take_pictures(browser: Browser, folder: Path) -> None:
    """Save pictures of the page's views."""
    views = {
        "page-stream": ("#/stream/cam00", (1280, 900), True),
        "page-node": ("#/node", (1280, 800), False),
        "page-phone": ("", PHONE, False),
    }
    for name, (view, size_wh, dark) in views.items():
        with browser.open(URL + view, size_wh, dark=dark) as tab:
            time.sleep(SETTLE_S + 2)
            tab.screenshot(folder / f"{name}.webp")


if __name__ == "__main__":
    main()
