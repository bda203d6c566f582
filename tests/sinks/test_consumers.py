"""What a consumer does with what real sinks send through a real broker: the program in the docs, and the script."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.sinks.examples import ORIGIN, detections, result, state
from tests.waiting import wait_until

from framelane.messages.detections import as_replayed, detections_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sinks.conftest import WatchedSink

    from framelane.messages.detections import Encoding, Message

    Start = Callable[..., WatchedSink]

PAGE = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"lobby (\S+) (\d+) \S+ \['person'\] missing: (\[.*\])")


def of_run(run: str, seq: int) -> Message:
    return detections_message(replace(ORIGIN, run=run), result(seq), seq=seq, dropped=0, total_s=0.03)


@contextmanager
def consumer(broker: Mosquitto) -> Iterator[Callable[[], tuple[str, int, str]]]:
    """The program in the docs as it stands there, but for the broker's address; yields what reads a line of it."""
    (program,) = re.findall(r"```python\n(import json.*?)```", PAGE, re.DOTALL)
    program = program.replace('"BROKER", 1883', f'"127.0.0.1", {broker.port}')
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:

        def line() -> tuple[str, int, str]:
            assert process.stdout is not None
            found = SHOWN.match(process.stdout.readline())
            assert found is not None
            return found[1], int(found[2]), found[3]

        try:
            wait_until(lambda: broker.log.count("my-consumer 1 framelane/+/streams/+/detections") > 0)
            yield line
        finally:
            process.kill()


def test_program_of_the_docs_knows_gaps_restarts_replays_and_duplicates(tmp_path: Path, start: Start) -> None:
    with Mosquitto(tmp_path, MosquittoOptions(log="subscribe")) as broker:
        sink = start(broker.url)
        with consumer(broker) as line:
            for message in (detections(1), detections(2), detections(2), detections(6)):
                sink.offer(message)
            assert [line() for _ in range(3)] == [
                ("run-1", 1, "[]"),
                ("run-1", 2, "[]"),
                ("run-1", 6, "[3, 4, 5]"),
            ]
            for message in (of_run("run-2", 1), *map(as_replayed, map(detections, (4, 4, 5)))):
                sink.offer(message)
            assert [line() for _ in range(3)] == [
                ("run-2", 1, "[]"),
                ("run-1", 4, "[3, 5]"),
                ("run-1", 5, "[3]"),
            ]


def test_program_of_the_docs_misses_nothing_while_it_is_away(tmp_path: Path, start: Start) -> None:
    with Mosquitto(tmp_path, MosquittoOptions(log="subscribe")) as broker:
        sink = start(broker.url)
        with consumer(broker) as line:
            sink.offer(detections(1))
            assert line() == ("run-1", 1, "[]")
        for seq in (2, 3):
            sink.offer(detections(seq))
        wait_until(lambda: sink.health().queued == 0)
        with consumer(broker) as line:
            came = [line()]
            while came[-1][1] < 3:
                came.append(line())
    # The first one again if the program was killed before it had acknowledged it.
    assert came[-2:] == [("run-1", 2, "[]"), ("run-1", 3, "[]")]
    assert came[:-2] in ([], [("run-1", 1, "[]")])


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_subscribe_script_prints_and_finds_gaps(tmp_path: Path, start: Start, encoding: Encoding) -> None:
    command = [sys.executable, "scripts/subscribe.py", "--count", "6", "--url"]
    with (
        Mosquitto(tmp_path) as broker,
        subprocess.Popen([*command, broker.url], stdout=subprocess.PIPE, text=True) as script,
    ):
        sink = start(broker.url)
        sink.offer(state())  # retained: it comes first, and shows that the script has subscribed
        assert script.stdout is not None
        assert '"framelane.state/1"' in script.stdout.readline()
        sent = [detections(seq, encoding=encoding) for seq in (1, 2, 5, 2, 4)]
        for message in (*sent[:-1], as_replayed(sent[-1])):
            sink.offer(message)
        rest = script.stdout.read().splitlines()
    assert "#1 2026-11-22T09:00:00.123456Z [person 0.99]" in rest[0]
    assert [line.partition("]")[2] for line in rest] == [
        "",
        "",
        "  MISSING 2 messages",
        "  TWICE",
        "  replayed  fills a gap; 1 still missing",
    ]
