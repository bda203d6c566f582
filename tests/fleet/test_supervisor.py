"""Workers that crash, hang, flood the pipe, are deaf or lose their GPU: real processes, quick clocks."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.clock import SystemClock
from framelane.fleet.share import divide
from framelane.fleet.supervisor import Supervisor, SupervisorTimeouts

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Iterable, Iterator

    from framelane.config.sections.schema import Config
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.fleet.protocol import Happened, Snapshot, Started
    from framelane.fleet.share import Share
    from framelane.telemetry.states import StreamState

    Make = Callable[..., "tuple[Supervisor, Events]"]

WAIT_S = 30.0
QUICK = SupervisorTimeouts(look_s=0.02, silence_s=1.0, start_s=10.0, first_s=0.01, most_s=0.05, deaths=3)
FAKE = Path(__file__).with_name("fake_worker.py")


class Events:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.ends: list[str | None] = []
        self.through: set[str] = set()
        self.models: set[str] = set()
        self.fatal: FramelaneError | None = None

    def started(self, share: Share, message: Started) -> None:
        self.said.append(message)

    def changed(self, state: StreamState) -> None:
        self.said.append(state)

    def happened(self, message: Happened) -> None:
        self.said.append(message)

    def reported(self, share: Share, snapshot: Snapshot) -> None:
        self.said.append(snapshot)

    def ended_worker(self, share: Share, text: str | None) -> None:
        self.ends.append(text)

    def models_loaded(self, models: Iterable[ModelInfo], config: Config) -> None:
        self.models |= {model.name for model in models}

    def played(self, share: Share) -> Collection[str]:
        return self.through

    def linked(self, media: socket.socket) -> None:
        media.close()

    def gave_up(self, error: FramelaneError) -> None:
        self.fatal = error


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Starts a supervisor of a fake worker; ends it with the test."""
    (tmp_path / "m.onnx").touch()
    text = """
jsonl: {path: "-"}
workers: 2
models: {m: {path: m.onnx}}
streams: [{id: a, url: "rtsp://127.0.0.1/a"}, {id: b, url: "rtsp://127.0.0.1/b"}]
"""
    config = parse_config(text, tmp_path, {})
    made: list[Supervisor] = []

    def supervisor(
        mode: str, timeouts: SupervisorTimeouts = QUICK, played: Iterable[str] = ()
    ) -> tuple[Supervisor, Events]:
        events = Events()
        events.through = set(played)
        command = (sys.executable, str(FAKE), mode, str(tmp_path / "starts"))
        share = divide(config, lambda: "none here")[0]
        each = Supervisor(share, config, events, SystemClock(), timeouts, command)
        made.append(each)
        each.start()
        return each, events

    yield supervisor
    for each in made:
        each.finish(0.1)
        assert each.join(WAIT_S)
        assert not [pid for pid in starts(tmp_path) if alive(pid)]


def starts(tmp_path: Path) -> list[int]:
    file = tmp_path / "starts"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_worker_runs_where_the_quota_of_pipes_is_used_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr("framelane.fleet.process.fcntl.fcntl", refuse)
    supervisor, _ = make("good")
    assert supervisor.settled.wait(WAIT_S)
    assert supervisor.up


def test_worker_runs_its_share_and_ends_when_it_is_told(make: Make, tmp_path: Path) -> None:
    supervisor, events = make("good")
    assert supervisor.settled.wait(WAIT_S)
    assert supervisor.up
    supervisor.finish(WAIT_S)
    assert supervisor.join(WAIT_S)
    assert [state.stream for state in events.said if hasattr(state, "details")] == ["a"]
    assert (events.ends, supervisor.restarts, supervisor.up) == ([None], 0, False)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dies-once", "its worker process w0 ended with code 9"),
        ("hangs-once", "its worker process w0 said nothing for 1 s and was killed"),
        ("floods-once", "message"),
        (
            "wedged-once",
            "made no progress and was killed: frames arrive, but none was inferred for 31 s",
        ),
    ],
)
def test_worker_is_started_again_when_it_misbehaves(make: Make, tmp_path: Path, mode: str, said: str) -> None:
    supervisor, events = make(mode)
    wait_until(lambda: supervisor.restarts == 1 and supervisor.up)
    assert len(starts(tmp_path)) == 2
    assert said in str(events.ends[0])
    assert events.fatal is None


def test_daemon_must_end_when_a_worker_cant_use_its_model_at_the_first_start(
    make: Make, tmp_path: Path
) -> None:
    supervisor, events = make("bad-model")
    assert supervisor.join(WAIT_S)
    assert events.fatal is not None
    assert (str(events.fatal), events.fatal.exit_code) == ("says bad-model", 3)
    assert len(starts(tmp_path)) == 1


@pytest.mark.parametrize(("mode", "code"), [("device-lost", 70), ("crash", 1), ("wedged", 1)])
def test_daemon_must_end_when_a_worker_dies_too_often(
    make: Make, tmp_path: Path, mode: str, code: int
) -> None:
    supervisor, events = make(mode)
    assert supervisor.join(WAIT_S)
    assert events.fatal is not None
    assert events.fatal.exit_code == code
    assert len(starts(tmp_path)) == 3
    assert supervisor.settled.is_set()


def test_deaf_worker_is_killed_when_its_time_is_over(make: Make) -> None:
    supervisor, _ = make("deaf")
    assert supervisor.settled.wait(WAIT_S)
    began_s = time.monotonic()
    supervisor.finish(0.3)
    assert supervisor.join(WAIT_S)
    assert time.monotonic() - began_s < 5


def test_worker_is_not_started_again_when_its_streams_have_ended(make: Make, tmp_path: Path) -> None:
    supervisor, events = make("dies-once")
    wait_until(lambda: bool(starts(tmp_path)))
    events.through = {"a"}
    wait_until(lambda: supervisor.idle)
    assert supervisor.settled.is_set()
    assert len(starts(tmp_path)) == 1


def test_daemon_goes_on_when_a_worker_that_had_nothing_to_do_cant_start(make: Make, tmp_path: Path) -> None:
    supervisor, events = make("bad-model", played={"a"})
    wait_until(lambda: supervisor.idle)
    events.through = set()
    wait_until(lambda: supervisor.restarts >= 2)
    assert events.fatal is None
    assert events.ends[0] == "its worker process says: says bad-model"


def test_snapshot_comes_when_it_is_asked_for(make: Make) -> None:
    supervisor, events = make("good")
    assert supervisor.settled.wait(WAIT_S)
    wait_until(lambda: len(events.said) == 3)
    supervisor.ask()
    wait_until(lambda: len(events.said) == 4)
