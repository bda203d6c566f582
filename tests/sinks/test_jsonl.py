from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from structlog.testing import capture_logs
from tests.events.examples import crossing, zone_state
from tests.sinks.examples import FAREWELL, checked, detections, seqs, state, status
from tests.small_disk import fill_up
from tests.waiting import wait_until

from framelane.config.sections.jsonl import JsonlConfig
from framelane.core.clock import SystemClock
from framelane.messages.events import event_message, zone_message
from framelane.messages.reports import removed_message
from framelane.sinks.jsonl import JsonlSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start() -> Iterator[Callable[..., JsonlSink]]:
    sinks: list[JsonlSink] = []

    def started(path: Path | str, **config: Any) -> JsonlSink:
        sink = JsonlSink(JsonlConfig(path=str(path), **config), SystemClock(), retry_s=0.05)
        sinks.append(sink)
        sink.start()
        return sink

    yield started
    for sink in sinks:
        sink.stop(0.0, FAREWELL)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_jsonl_writes_a_line_a_message_when_it_stops(tmp_path: Path, start: Callable[..., JsonlSink]) -> None:
    sink = start(tmp_path / "out.jsonl")
    for seq in range(1, 101):
        sink.offer(detections(seq))
    sink.offer(state())
    sink.stop(5.0, FAREWELL)
    assert seqs(lines(tmp_path / "out.jsonl")) == list(range(1, 101))
    assert (sink.health().delivered, sink.health().dropped) == (100, 0)


def test_jsonl_writes_soon_and_appends(tmp_path: Path, start: Callable[..., JsonlSink]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(detections(1).payload + b"\n")
    sink = start(path)
    sink.offer(detections(2))
    wait_until(lambda: len(lines(path)) == 2)
    assert seqs(lines(path)) == [1, 2]


def test_jsonl_writes_json_when_detections_are_message_pack(
    tmp_path: Path, start: Callable[..., JsonlSink]
) -> None:
    sink = start(tmp_path / "out.jsonl")
    sink.offer(detections(1, encoding="msgpack"))
    sink.stop(5.0, FAREWELL)
    assert lines(tmp_path / "out.jsonl") == [detections(1).payload]


def test_jsonl_writes_the_kinds_it_is_told(tmp_path: Path, start: Callable[..., JsonlSink]) -> None:
    sink = start(tmp_path / "out.jsonl", kinds=["state", "status"])
    for message in (detections(1), state(), status()):
        sink.offer(message)
    sink.stop(5.0, FAREWELL)
    written = [orjson.loads(line)["state"] for line in lines(tmp_path / "out.jsonl")]
    assert written == ["live", "online", "offline"]


def test_jsonl_writes_events_but_no_states_of_zones_by_default(
    tmp_path: Path, start: Callable[..., JsonlSink]
) -> None:
    sink = start(tmp_path / "out.jsonl")
    happened = event_message("gate-01", crossing(), None)
    sink.offer(zone_message("gate-01", zone_state()))
    sink.offer(happened)
    sink.stop(5.0, FAREWELL)
    assert lines(tmp_path / "out.jsonl") == [happened.payload]


def test_jsonl_goes_on_in_a_new_file_when_the_old_one_is_rotated(
    tmp_path: Path, start: Callable[..., JsonlSink]
) -> None:
    path, rotated = tmp_path / "out.jsonl", tmp_path / "out.jsonl.1"
    sink = start(path)
    sink.offer(detections(1))
    wait_until(lambda: path.exists() and len(lines(path)) == 1)
    path.rename(rotated)
    sink.offer(detections(2))
    wait_until(lambda: path.exists() and len(lines(path)) == 1)
    assert (seqs(lines(rotated)), seqs(lines(path))) == ([1], [2])


def test_jsonl_ends_a_line_that_a_killed_writer_left(tmp_path: Path, start: Callable[..., JsonlSink]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"schema":"frame')
    sink = start(path)
    sink.offer(detections(1))
    sink.stop(5.0, FAREWELL)
    assert lines(path)[0] == b'{"schema":"frame'
    assert seqs(lines(path)[1:]) == [1]


def test_jsonl_counts_and_says_once_that_the_disk_is_full(start: Callable[..., JsonlSink]) -> None:
    with capture_logs() as logs:
        sink = start("/dev/full", queue=5)
        for seq in range(1, 9):
            sink.offer(detections(seq))
        wait_until(lambda: sink._writer.outage._tries >= 3)
        assert sink.health().connected is False
        assert sink.health().last_error == (
            "can't write /dev/full: No space left on device; lines wait, and the oldest are dropped"
        )
        assert sink.health().dropped == 3
        sink.stop(0.5, FAREWELL)
    assert [log["event"] for log in logs] == ["sink_failed", "jsonl_unwritten"]
    assert (sink.health().delivered, sink.health().dropped, sink.health().queued) == (0, 8, 0)


def test_jsonl_writes_what_waited_when_the_file_can_be_written_again(
    tmp_path: Path, start: Callable[..., JsonlSink]
) -> None:
    path = tmp_path / "folder" / "out.jsonl"
    with capture_logs() as logs:
        sink = start(path)
        for seq in (1, 2, 3):
            sink.offer(detections(seq))
        wait_until(lambda: sink.health().last_error is not None)
        path.parent.mkdir()
        wait_until(lambda: sink.health().delivered == 3)
    assert seqs(lines(path)) == [1, 2, 3]
    assert [log["event"] for log in logs] == ["sink_failed", "sink_recovered"]


def test_jsonl_writes_a_line_again_when_the_disk_filled_up_within_it(
    tmp_path: Path, start: Callable[..., JsonlSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.jsonl"
    write, room = os.write, [len(detections(1).payload) + 40]

    def full(descriptor: int, data: bytes) -> int:
        if not room:
            return write(descriptor, data)
        limit = room.pop()
        return write(descriptor, data[:limit])

    monkeypatch.setattr("framelane.sinks.jsonl.os.write", full)
    sink = JsonlSink(JsonlConfig(path=str(path)), SystemClock())
    for seq in (1, 2, 3):
        sink.offer(detections(seq))
    sink.start()
    sink.stop(5.0, FAREWELL)
    written = lines(path)
    assert seqs(written) == [1, 2, 3]
    assert sink.health().delivered == 3


@pytest.mark.parametrize("shared", [False, True])
def test_jsonl_leaves_whole_lines_on_a_full_disk_and_every_line_once(disk: Path, *, shared: bool) -> None:
    path, hog = disk / "out.jsonl", disk / "hog"
    sink = JsonlSink(JsonlConfig(path=str(path)), SystemClock(), 0.05, shared=shared)
    sink.start()
    sink.offer(detections(1))
    wait_until(lambda: sink.health().delivered == 1)
    fill_up(hog)
    for seq in range(2, 201):  # the first of these fit on the page that is begun
        sink.offer(detections(seq))
    wait_until(lambda: not sink.health().connected)
    there = path.read_bytes()
    assert there.endswith(b"}\n")
    assert seqs(lines(path)) == list(range(1, len(lines(path)) + 1))
    hog.unlink()
    wait_until(lambda: sink.health().delivered == 200)
    assert seqs(lines(path)) == list(range(1, 201))
    sink.stop(1.0, None)


def test_jsonl_leaves_whole_lines_when_standard_output_is_a_file_on_a_full_disk(disk: Path) -> None:
    path = disk / "out"
    script = (
        "from tests.sinks.examples import *; from framelane.sinks.jsonl import JsonlSink;"
        "from framelane.config.sections.jsonl import JsonlConfig; from framelane.core.clock import SystemClock;"
        "from pathlib import Path; from tests.waiting import wait_until;"
        "from tests.small_disk import fill_up;"
        "import structlog; import sys; structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr));"
        "sink = JsonlSink(JsonlConfig(path='-'), SystemClock(), 0.05); sink.start(); sink.offer(detections(1));"
        f"wait_until(lambda: sink.health().delivered == 1); fill_up(Path('{disk}/hog'));"
        "[sink.offer(detections(seq)) for seq in range(2, 51)]; wait_until(lambda: not sink.health().connected);"
        f"Path('{disk}/hog').unlink(); wait_until(lambda: sink.health().delivered == 50); sink.stop(5.0, None)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-c", script], env=env, stdout=file, check=True)
    assert seqs(lines(path)) == list(range(1, 51))


def test_jsonl_to_standard_output(tmp_path: Path) -> None:
    script = (
        "from tests.sinks.examples import *; from framelane.sinks.jsonl import JsonlSink;"
        "from framelane.config.sections.jsonl import JsonlConfig; from framelane.core.clock import SystemClock;"
        "sink = JsonlSink(JsonlConfig(path='-'), SystemClock()); sink.start();"
        "[sink.offer(detections(seq)) for seq in (1, 2, 3)]; sink.stop(5.0, FAREWELL)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True)
    assert seqs(done.stdout.splitlines()) == [1, 2, 3]


def test_farewell_fits_its_schema() -> None:
    assert checked(FAREWELL)["state"] == "offline"


def test_jsonl_ends_a_line_that_another_process_left(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(JsonlConfig(path=str(path)), SystemClock(), shared=True)
    sink.start()
    sink.offer(detections(1))
    wait_until(lambda: path.exists() and len(lines(path)) == 1)
    with path.open("ab") as other:
        other.write(b'{"schema":"frame')
    sink.offer(detections(2))
    sink.stop(5.0, None)
    assert lines(path)[1] == b'{"schema":"frame'
    assert seqs([lines(path)[0], lines(path)[2]]) == [1, 2]


_WRITER = """
import os, sys
from framelane.config.sections.jsonl import JsonlConfig
from framelane.core.clock import SystemClock
from framelane.sinks.jsonl import JsonlSink
from framelane.messages.detections import Message
who, path = sys.argv[1:]
sink = JsonlSink(JsonlConfig(path=path), SystemClock(), shared=True)
sys.stderr.write("r")
sys.stderr.flush()
sys.stdin.read()
sink.start()
for number in range(300):
    sink.offer(Message("detections", who, (who * (50 + number * 97 % 20_000)).encode(), retain=False))
sink.stop(20.0, None)
"""


@pytest.mark.parametrize("target", ["file", "pipe"])
def test_jsonl_keeps_lines_whole_when_several_processes_share_the_file(tmp_path: Path, target: str) -> None:
    """Lines of up to 20 kB: a pipe takes no more than 4 kB at once."""
    path = tmp_path / "out.jsonl"
    receiver, sender = os.pipe()
    stdout: Any = sender if target == "pipe" else None
    file = "-" if target == "pipe" else str(path)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, who, file], stdout=stdout, env=_environment(), **pipes
        )
        for who in "abc"
    ]
    for child in children:
        assert child.stderr is not None
        assert child.stderr.read(1) == b"r"
    for child in children:
        assert child.stdin is not None
        child.stdin.close()  # all at once
        child.stdin = None
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        received = pipe.read()
    assert [child.communicate(timeout=30)[1] for child in children] == [b"", b"", b""]
    written = (path.read_bytes() if target == "file" else received).splitlines()
    assert len(written) == 900
    assert {len(set(line)) for line in written} == {1}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_message_without_content_makes_no_line(tmp_path: Path) -> None:
    sink = JsonlSink(JsonlConfig(path=str(tmp_path / "out.jsonl"), kinds=["state"]), SystemClock())
    sink.start()
    sink.offer(removed_message("lobby"))
    sink.offer(state())
    sink.stop(5.0, None)
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 1
