"""The life of the process, with the app faked: signals, readiness, end of files, failure to start."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.yaml.load import parse_config
from framelane.core.errors import FramelaneError, ModelError
from framelane.gpu.errors import DeviceLostError
from framelane.node import service as service_module
from framelane.node.service import Service, notify_reload
from framelane.telemetry.health import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from framelane.core.errors import FramelaneError

    Make = Callable[..., Service]


class FakeApp:
    """Notes what is asked of it."""

    def __init__(self, _config: object) -> None:
        self.calls: list[Any] = []
        self.ended = False
        self.fatal: FramelaneError | None = None
        self.on_start: Callable[[], None] = lambda: None

    def start(self) -> None:
        self.calls.append("start")
        self.on_start()

    def stop(self, timeout_s: float) -> None:
        self.calls.append(("stop", timeout_s))

    def liveness(self) -> Health:
        return Health()

    def headline(self) -> str:
        return "1 of 1 streams live"


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Makes a Service around a FakeApp; signals are the process's own again afterwards."""
    monkeypatch.setattr(service_module, "_LOOK_S", 0.01)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    (tmp_path / "m.onnx").touch()

    def service(node: str = "{shutdown_s: 7}", changes: FakeChanges | None = None) -> Service:
        text = f"""
node: {node}
jsonl: {{path: "-"}}
models: {{m: {{path: m.onnx}}}}
streams: [{{id: cam, url: "rtsp://127.0.0.1/x"}}]
"""
        config = parse_config(text, tmp_path, {})
        return Service(config, FakeApp(config), changes=changes)

    yield service
    for number, handler in before.items():
        signal.signal(number, handler)


def fake(service: Service) -> FakeApp:
    app = service.app
    assert isinstance(app, FakeApp)
    return app


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_stops_the_app_when_a_signal_comes(make: Make, number: signal.Signals) -> None:
    service = make()
    fake(service).on_start = lambda: os.kill(os.getpid(), number)
    service.run()
    assert fake(service).calls == ["start", ("stop", 7.0)]


def test_second_signal_ends_the_process_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    service = make()

    def interrupt_twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert codes == []
        os.kill(os.getpid(), signal.SIGINT)

    fake(service).on_start = interrupt_twice
    service.run()
    assert codes == [128 + signal.SIGINT]


STUCK = """
import ctypes, sys
from pathlib import Path
from framelane.config.yaml.load import parse_config
from framelane.node.service import Service

class Stuck:
    def start(self):
        print("starts", flush=True)
        lock, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
        libc.pthread_mutex_lock(lock)
        libc.pthread_mutex_lock(lock)  # forever, and no signal interrupts it: as an engine's build

Path("m.onnx").touch()
text = "node: {shutdown_s: 1}\\njsonl: {path: '-'}\\nmodels: {m: {path: m.onnx}}\\n"
text += "streams: [{id: cam, url: 'rtsp://127.0.0.1/x'}]"
Service(parse_config(text, Path.cwd(), {}), app=Stuck()).run()
"""


@pytest.mark.parametrize("signals", [1, 2])
def test_signal_ends_a_start_that_python_can_not_interrupt(tmp_path: Path, signals: int) -> None:
    command = [sys.executable, "-c", STUCK]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "starts\n"
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.2)
            assert process.wait(20) == (0 if signals == 1 else 128 + signal.SIGTERM)
            told = process.stdout.read()
        finally:
            process.kill()
    assert ("start_given_up" in told) == (signals == 1)


def test_run_ends_when_every_stream_has_ended_and_that_is_asked_for(make: Make) -> None:
    service = make("{exit_when_ended: true}")
    fake(service).ended = True
    service.run()
    assert fake(service).calls == ["start", ("stop", 8.0)]


def test_run_goes_on_when_every_stream_has_ended_and_that_is_not_asked_for(make: Make) -> None:
    service = make()
    fake(service).ended = True
    thread = threading.Timer(0.1, service.stopping.set)  # ten looks later
    thread.start()
    service.run()
    assert service.stopping.is_set()


def test_run_stops_what_had_started_when_the_start_fails(make: Make) -> None:
    service = make()

    def fail() -> None:
        raise ModelError("m.onnx is not an ONNX model")

    fake(service).on_start = fail
    with pytest.raises(ModelError):
        service.run()
    assert fake(service).calls == ["start", ("stop", 7.0)]


def test_run_ends_with_the_error_when_the_app_cant_go_on(make: Make) -> None:
    service = make()
    fake(service).on_start = lambda: setattr(fake(service), "fatal", ModelError("the GPU is lost"))
    with pytest.raises(ModelError, match="the GPU is lost"):
        service.run()
    assert fake(service).calls == ["start", ("stop", 7.0)]


@pytest.mark.parametrize(
    ("error", "timeout_s"),
    [(DeviceLostError("the GPU is lost to this process"), 5.0), (ModelError("a worker can't be kept"), 7.0)],
)
def test_run_stops_and_raises_when_the_app_can_not_go_on(
    make: Make, error: FramelaneError, timeout_s: float
) -> None:
    service = make()
    fake(service).fatal = error
    with pytest.raises(type(error)) as caught:
        service.run()
    assert caught.value is error
    assert fake(service).calls == ["start", ("stop", timeout_s)]


def test_systemd_hears_ready_after_the_start_and_stopping_before_the_stop(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = make()
    app = fake(service)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        heard: list[bytes] = []

        def hear() -> None:
            systemd.settimeout(0)
            with pytest.raises(BlockingIOError):
                systemd.recv(64)
            systemd.settimeout(10)
            service.stopping.set()

        app.on_start = hear
        app.stop = lambda timeout_s: heard.extend([systemd.recv(64), systemd.recv(64)])  # type: ignore[method-assign]
        service.run()
    assert heard == [b"READY=1", b"STOPPING=1"]


class FakeChanges:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def request_reload(self) -> None:
        self.calls.append("reload")


def test_sighup_asks_for_a_reload_and_changes_are_taken_between_start_and_stop(make: Make) -> None:
    before = signal.getsignal(signal.SIGHUP)
    changes = FakeChanges()
    service = make(changes=changes)
    fake(service).on_start = lambda: os.kill(os.getpid(), signal.SIGHUP)
    threading.Timer(0.2, service.stopping.set).start()
    try:
        service.run()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert changes.calls == ["reload", "start", "stop"]


@pytest.mark.parametrize("fails", [False, True])
def test_systemd_hears_when_a_reload_begins_and_that_it_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: object
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with contextlib.suppress(ModelError), notify_reload():
            began = systemd.recv(128).decode()
            if fails:
                raise ModelError("no")
        over = systemd.recv(128)
    name, _, usec = began.partition("\nMONOTONIC_USEC=")
    assert (name, over) == ("RELOADING=1", b"READY=1")
    assert abs(int(usec) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 60
