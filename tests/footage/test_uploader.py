"""Uploads to a real server that goes away, refuses, is slow, or lacks its bucket."""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.neighbours.s3_server import S3Server
from tests.neighbours.silent_server import SilentServer
from tests.sinks.examples import WALL_S
from tests.waiting import wait_until

from framelane.config.sections.s3 import S3Config
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.footage.s3 import S3Bucket
from framelane.footage.store import Limits, MediaStore, Place
from framelane.footage.uploader import Uploader, Waits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KIB = 1024
QUICK = Backoff(0.05, 0.1)
LONG = Backoff(600, 600)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of whoever runs the tests."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server(tmp_path / "s3") as running:
        yield running


class Desk:
    """A folder, its uploader, and what that has said of the server."""

    def __init__(self, folder: Path, settings: dict[str, Any], most_bytes: int = 1 << 30) -> None:
        self.config = S3Config.model_validate({"connect_timeout_s": 2, "read_timeout_s": 2, **settings})
        self.store = MediaStore(folder, Limits(most_bytes, 1e9, 0), uploads=True)
        self.said: list[str | None] = []
        self.uploader = self.made()

    def made(self, waits: Waits | None = None) -> Uploader:
        waits = waits or Waits(QUICK, QUICK)
        return Uploader(self.config, self.store, S3Bucket, SystemClock(), self.said.append, waits)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.uploader.stop(10)

    def write(self, number: int, size: int = 100, suffix: str = "jpg") -> str:
        """Keep a file, and return its name in the bucket."""
        place = Place(WALL_S, "lobby", str(uuid.UUID(int=number)), suffix)
        self.store.write(place, [bytes([number % 256]) * size])
        return place.key

    def counts(self) -> tuple[int, int, dict[str, int]]:
        """Files that wait, that were uploaded, and that were lost."""
        health = self.uploader.health()
        assert health.dropped == sum(health.dropped_by.values())
        return health.queued, health.delivered, dict(health.dropped_by)


NOTHING_LOST = {"deleted": 0, "refused": 0}


def test_files_are_uploaded_as_they_come(server: S3Server, tmp_path: Path) -> None:
    with Desk(tmp_path / "media", server.settings(prefix="site")) as desk:
        before = [desk.write(number) for number in (1, 2)]
        desk.uploader.start()
        wait_until(lambda: len(server.objects()) == 2)
        after = desk.write(3, 300_000, "mp4")
        wait_until(lambda: desk.counts() == (0, 3, NOTHING_LOST))
        assert sorted(server.objects()) == [f"site/{key}" for key in sorted([*before, after])]
        assert server.objects()[f"site/{after}"] == bytes([3]) * 300_000
        assert (desk.uploader.health().connected, desk.said) == (True, [])
        assert len(list((tmp_path / "media").glob("*/*/*.*"))) == 3


def test_client_logs_no_request_even_while_debugging(
    server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would log signatures and tokens."""
    caplog.set_level(logging.DEBUG)
    with Desk(tmp_path / "media", server.settings()) as desk:
        desk.write(1)
        desk.uploader.start()
        wait_until(lambda: desk.counts() == (0, 1, NOTHING_LOST))
    assert [record.name for record in caplog.records if record.name.startswith(("botocore", "urllib3"))] == []


def test_outage_delays_files_is_logged_once_and_outlives_a_restart(server: S3Server, tmp_path: Path) -> None:
    with capture_logs() as lines, Desk(tmp_path / "media", server.settings()) as desk:
        server.stop()
        keys = [desk.write(number) for number in range(5)]
        desk.uploader.start()
        wait_until(lambda: desk.said != [])
        time.sleep(1.0)  # several attempts
        health = desk.uploader.health()
        assert (health.connected, health.queued) == (False, 5)
        assert health.last_error is not None
        assert "can't connect: Connection refused" in health.last_error
        assert desk.said == [health.last_error]
        # As after a restart: nothing is remembered but what is on disk.
        assert desk.uploader.stop(10)
        desk.uploader = desk.made()
        server.start()
        desk.uploader.start()
        wait_until(lambda: desk.counts() == (0, 5, NOTHING_LOST))
        assert sorted(server.objects()) == sorted(keys)
    assert [line["event"] for line in lines] == ["s3_failed"]


def test_end_of_an_outage_is_told(server: S3Server, tmp_path: Path) -> None:
    with capture_logs() as lines, Desk(tmp_path / "media", server.settings()) as desk:
        server.stop()
        desk.write(1)
        desk.uploader.start()
        wait_until(lambda: desk.said != [])
        server.start()
        wait_until(lambda: desk.counts() == (0, 1, NOTHING_LOST))
        wait_until(lambda: len(desk.said) == 2)
        assert desk.said[1] is None
        assert desk.uploader.health().last_error is None
    assert [line["event"] for line in lines] == ["s3_failed", "s3_recovered"]
    assert lines[0]["reason"] == "unreachable"


def test_bucket_may_be_created_later(server: S3Server, tmp_path: Path) -> None:
    with Desk(tmp_path / "media", server.settings(bucket="later")) as desk:
        key = desk.write(1)
        desk.uploader.start()
        wait_until(lambda: desk.said != [])
        assert "NoSuchBucket" in str(desk.said[0])
        server.make_bucket("later")
        wait_until(lambda: list(server.objects("later")) == [key])


def test_other_keys_take_effect_at_once(server: S3Server, tmp_path: Path) -> None:
    with Desk(tmp_path / "media", server.settings(secret_key="wrong-4711-0815")) as desk:
        desk.uploader = desk.made(Waits(LONG, LONG))
        key = desk.write(1)
        desk.uploader.start()
        wait_until(lambda: desk.said != [])
        assert "SignatureDoesNotMatch" in str(desk.said[0])
        desk.uploader.configure(S3Config.model_validate(server.settings()))
        wait_until(lambda: list(server.objects()) == [key], timeout_s=20)


def test_file_that_the_server_can_not_take_does_not_hold_up_the_others(
    server: S3Server, tmp_path: Path
) -> None:
    with Desk(tmp_path / "media", server.settings()) as desk:
        blocked, *others = [desk.write(number) for number in range(6)]
        server.block(blocked)
        desk.uploader.start()
        wait_until(lambda: others == [key for key in sorted(server.objects()) if key in others])
        wait_until(lambda: desk.uploader.health().last_error is not None)
        assert desk.counts() == (1, 5, NOTHING_LOST)
        # Others go on, so this file alone is to blame.
        for number in range(6, 12):
            key = desk.write(number)
            wait_until(lambda key=key: key in server.objects())  # type: ignore[misc]
        wait_until(lambda: desk.counts() == (0, 11, {"deleted": 0, "refused": 1}))
        assert (tmp_path / "media" / blocked).is_file()
        wait_until(lambda: desk.said[-1] is None)


def test_file_that_the_server_refuses_for_good_is_given_up_and_stays_here(
    server: S3Server, tmp_path: Path
) -> None:
    with capture_logs() as lines, Desk(tmp_path / "media", server.settings()) as desk:
        # Longer than a configuration allows.
        desk.config = desk.config.model_copy(update={"prefix": "a" * 1100})
        desk.uploader = desk.made()
        key = desk.write(1)
        desk.uploader.start()
        wait_until(lambda: desk.counts() == (0, 0, {"deleted": 0, "refused": 1}))
        assert (tmp_path / "media" / key).is_file()
        assert list(desk.store.unsent.all()) == []
        assert (desk.said, desk.uploader.health().connected) == ([], True)
    assert [line["event"] for line in lines] == ["s3_refused"]


def test_files_that_the_limits_delete_before_their_upload_are_counted(
    server: S3Server, tmp_path: Path
) -> None:
    with Desk(tmp_path / "media", server.settings(), most_bytes=80 * KIB) as desk:
        server.stop()
        desk.uploader.start()
        for number in range(100):
            desk.write(number, 4 * KIB)
        # Marks take no more than the files.
        left = len(list(desk.store.unsent.all()))
        assert left == len(list((tmp_path / "media").glob("*/*/*.jpg"))) < 21
        server.start()
        wait_until(lambda: desk.counts() == (0, left, {"deleted": 100 - left, "refused": 0}))
        assert len(server.objects()) == left


def test_uploaded_files_are_deleted_if_wanted(server: S3Server, tmp_path: Path) -> None:
    with Desk(tmp_path / "media", server.settings(delete_after_upload=True)) as desk:
        keys = [desk.write(number) for number in range(3)]
        desk.uploader.start()
        wait_until(lambda: desk.counts() == (0, 3, NOTHING_LOST))
        assert sorted(server.objects()) == sorted(keys)
        assert list((tmp_path / "media").glob("*/*/*.jpg")) == []
        assert desk.store.figures().deleted == {"uploaded": 3}
        assert desk.store.figures().used == 0


def test_server_that_hangs_delays_neither_writing_nor_the_end(tmp_path: Path) -> None:
    with SilentServer() as silent:
        endpoint = silent.url.replace("rtsp", "http").removesuffix("/1")
        settings = {"endpoint": endpoint, "bucket": "cams", "access_key": "a", "secret_key": "b"}
        desk = Desk(tmp_path / "media", {**settings, "read_timeout_s": 60})
        desk.write(1)
        desk.uploader.start()
        wait_until(lambda: silent.connections > 0)
        began_s = time.monotonic()
        for number in range(2, 22):
            desk.write(number)
        assert not desk.uploader.stop(0.1)
        assert time.monotonic() - began_s < 5
        assert len(list(desk.store.unsent.all())) == 21


def test_file_deleted_by_an_operator_is_left_out(server: S3Server, tmp_path: Path) -> None:
    with Desk(tmp_path / "media", server.settings()) as desk:
        (tmp_path / "media" / desk.write(1)).unlink()
        key = desk.write(2)
        desk.uploader.start()
        wait_until(lambda: list(server.objects()) == [key])
        assert desk.said == []
