"""Drives a headless Chromium over the Chrome DevTools Protocol."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
from websockets.sync.client import connect

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
WITHOUT = "chromium is not installed: scripts/install_test_neighbours.sh"
_ADDRESS = re.compile(r"DevTools listening on ws://([0-9.:]+)/")
_START_S = 60.0
_ANSWER_S = 60.0
_LOOK_S = 0.05
_PHONE_WIDTH = 500
_SHIFT = 8
_KEYS = {
    "Backspace": 8,
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Delete": 46,
}
"""Windows' numbers of keys, by their names in the browser."""
_FLAGS = (
    "--headless=new",
    # Root may not use the sandbox, and containers have a small /dev/shm.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class BrowserError(Exception):
    """The browser does not start, or a page does not do what is waited for."""


class Browser:
    """One browser process, with a profile of its own; a context manager."""

    def __init__(self, profile: Path) -> None:
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._address = self._listening()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        """The browser's own process."""
        return self._process.pid

    def open(
        self, url: str, size_wh: tuple[int, int] = (1280, 800), *, dark: bool = True, before: str = ""
    ) -> Tab:
        """Open a tab; `before` is a script that runs before the page's own."""
        target = httpx.put(f"http://{self._address}/json/new?about:blank", timeout=_START_S).json()
        return Tab(target["webSocketDebuggerUrl"], url, size_wh, dark=dark, before=before)

    def _listening(self) -> str:
        """Return where the browser takes commands, which it says when it has started."""
        for line in self._process.stderr or ():
            found = _ADDRESS.search(line)
            if found:
                return found[1]
        raise BrowserError("chromium has ended")


class Tab:
    """One tab; a context manager. What its page complains about is in `complaints`."""

    def __init__(self, devtools: str, url: str, size_wh: tuple[int, int], *, dark: bool, before: str) -> None:
        self.complaints: list[str] = []
        self._numbers = itertools.count(1)
        self._line = connect(devtools, max_size=None, open_timeout=_START_S, legacy=True)
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.resize(size_wh)
        self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.call("Page.navigate", url=url)

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.call("Page.close")
        self._line.close()

    def resize(self, size_wh: tuple[int, int]) -> None:
        """Give the page another size in pixels."""
        width, height = size_wh
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < _PHONE_WIDTH,
        )

    def reload(self) -> None:
        """Load the page again, and wait until it is there."""
        self.call("Page.reload")
        while (message := json.loads(self._line.recv(_ANSWER_S))).get("method") != "Page.loadEventFired":
            self._note(message)

    def call(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401 - JSON
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._line.recv(_ANSWER_S))
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def run(self, script: str) -> Any:  # noqa: ANN401 - JSON
        """Return the value of a JavaScript expression, or of its promise."""
        reply = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in reply:
            raise BrowserError(str(reply["exceptionDetails"]))
        return reply["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 60.0) -> Any:  # noqa: ANN401 - JSON
        """Wait until an expression is true, and return its value."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := self.run(script)):
            if time.monotonic() > deadline_s:
                raise BrowserError(f"not true: {script}; the page says: {self.complaints}")
            time.sleep(_LOOK_S)
        return value

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key, such as Tab."""
        more: dict[str, Any] = {"text": "\r"} if key == "Enter" else {}
        if shift:
            more["modifiers"] = _SHIFT
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=_KEYS[key], **more)

    def click(self, place_xy: tuple[float, float]) -> None:
        """Click with the mouse at a place of the window, in pixels."""
        self.drag(place_xy, place_xy)

    def drag(self, from_xy: tuple[float, float], to_xy: tuple[float, float], *, finger: bool = False) -> None:
        """Drag with the mouse, or with a finger, from one place of the window to another, in pixels."""
        middle = ((from_xy[0] + to_xy[0]) / 2, (from_xy[1] + to_xy[1]) / 2)
        if finger:
            self._touch("touchStart", [from_xy])
            self._touch("touchMove", [middle])
            self._touch("touchMove", [to_xy])
            self._touch("touchEnd", [])
            return
        self._mouse("mouseMoved", from_xy, held=False)
        self._mouse("mousePressed", from_xy)
        self._mouse("mouseMoved", middle)
        self._mouse("mouseMoved", to_xy)
        self._mouse("mouseReleased", to_xy, held=False)

    def write(self, text: str) -> None:
        """Type text where the focus is."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Save what is seen as PNG, or as WebP if the name ends so."""
        options = {"format": "webp", "quality": 80} if path.suffix == ".webp" else {"format": "png"}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def _mouse(self, kind: str, place_xy: tuple[float, float], *, held: bool = True) -> None:
        """Send a mouse event; `held` is whether the left button is down after it."""
        x, y = place_xy
        button = "left" if held or kind == "mouseReleased" else "none"
        buttons = {"button": button, "buttons": int(held), "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, pointerType="mouse", **buttons)

    def _touch(self, kind: str, places: list[tuple[float, float]]) -> None:
        points = [{"x": x, "y": y} for x, y in places]
        self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def _note(self, message: dict[str, Any]) -> None:
        said = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(each.get("value")) for each in said["args"]))
        elif message.get("method") == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
