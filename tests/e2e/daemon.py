"""The daemon as a process of its own, as systemd would run it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class Daemon:
    """`with Daemon(folder, config) as daemon:` runs `framelane run` until the block ends."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        command: Sequence[str] = ("framelane", "run"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = environment or {}
        folder.mkdir(parents=True, exist_ok=True)
        self.config_file = folder / "framelane.yaml"
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
        self._log_file = folder / "log.jsonl"
        self._out_file = folder / "out.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def log(self) -> str:
        """Everything on standard error."""
        return self._log_file.read_text()

    @property
    def output(self) -> str:
        """Everything on standard output."""
        return self._out_file.read_text()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process; returns at once."""
        command = [sys.executable, "-m", *self._command, str(self.config_file)]
        environment = {
            **os.environ,
            "PYTHONPATH": python_path(ROOT / "daemon", ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        environment |= self._environment
        with self._log_file.open("wb") as log, self._out_file.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=log, env=environment)

    def pids(self) -> list[int]:
        """The process and those that it started."""
        assert self._process is not None
        return [
            self._process.pid,
            *(child.pid for child in psutil.Process(self._process.pid).children(recursive=True)),
        ]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_for_event(
        self,
        name: str,
        wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
        timeout_s: float = START_TIMEOUT_S,
    ) -> dict[str, Any]:
        """The first such line of the log."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = [event for event in self.events(name) if wanted(event)]
            if found:
                return found[0]
            assert time.monotonic() < deadline_s, f"no event {name} after {timeout_s} s:\n{self.log}"
            assert self.running, f"the daemon has ended:\n{self.log}"
            time.sleep(0.05)


def python_path(*roots: Path) -> str:
    """PYTHONPATH with these in front: the packages themselves may come by what was there."""
    return os.pathsep.join([*map(str, roots), *filter(None, [os.environ.get("PYTHONPATH")])])


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
