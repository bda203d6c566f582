from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import cv2
import httpx
import numpy as np
import pytest
from tests.footage.pictures import picture
from tests.footage.test_jpegs import NOTE
from tests.sinks.examples import WALL_S

from framelane.footage.index import MediaIndex
from framelane.footage.jpegs import annotated, encoded, with_note
from framelane.footage.store import Limits, MediaStore, Place
from framelane.web.app import create_app
from framelane.web.events import router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from .conftest import Daemon

EVENT = str(uuid.UUID(int=7))
TOKEN = "s3cret-s3cret"


class Bench:
    """A listener with a folder of snapshots."""

    def __init__(
        self, folder: Path, daemon: Daemon, serve: Callable[[ASGIApp], str], token: str | None
    ) -> None:
        self.folder = folder / "media"
        self.store = MediaStore(self.folder, Limits(1 << 30, 1e9, 0))
        routes = router(MediaIndex(self.folder), annotated)
        app = create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, token, events=routes)
        self.url = serve(app)
        self.image = with_note(encoded(picture(), 90), NOTE)

    def write(self, suffix: str = "jpg", event: str = EVENT) -> None:
        self.store.write(Place(WALL_S, "lobby", event, suffix), [self.image])

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}/api/events/{path}", headers=headers)


@pytest.fixture
def bench(tmp_path: Path, daemon: Daemon, serve: Callable[[ASGIApp], str]) -> Bench:
    return Bench(tmp_path, daemon, serve, None)


def test_snapshot_is_served_as_it_was_written(bench: Bench) -> None:
    bench.write()
    reply = bench.get(f"{EVENT}/snapshot.jpg")
    assert (reply.status_code, reply.content) == (200, bench.image)
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["cache-control"] == "private, max-age=3600"


def test_whole_view_is_another_file_that_may_be_missing(bench: Bench) -> None:
    bench.write()
    assert bench.get(f"{EVENT}/snapshot.jpg?view=whole").status_code == 404
    bench.write("whole.jpg")
    assert bench.get(f"{EVENT}/snapshot.jpg?view=whole").status_code == 200


def test_annotated_view_has_the_box(bench: Bench) -> None:
    bench.write()
    reply = bench.get(f"{EVENT}/snapshot.jpg?annotated=true")
    image = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (240, 320, 3)
    assert reply.content != bench.image


def test_snapshot_is_awaited_for_a_moment(bench: Bench) -> None:
    late = threading.Timer(0.3, bench.write)
    late.start()
    assert bench.get(f"{EVENT}/snapshot.jpg").status_code == 200
    late.join()


def test_clip_is_served_whole_or_in_ranges(bench: Bench) -> None:
    bench.write("mp4")
    path, size = f"{EVENT}/clip.mp4", len(bench.image)
    whole = bench.get(path)
    assert (whole.status_code, whole.content) == (200, bench.image)
    assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("video/mp4", "bytes")
    part = bench.get(path, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, bench.image[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{size}"
    assert bench.get(path, Range=f"bytes={size}-").status_code == 416
    assert bench.get(f"{uuid.UUID(int=9)}/clip.mp4").status_code == 404


def test_clip_is_found_at_once_although_another_was_missed_just_before(bench: Bench) -> None:
    """The folders are not read again for a tenth of a second."""
    for number in range(5):
        name = str(uuid.UUID(int=100 + number))
        assert bench.get(f"{uuid.UUID(int=9)}/clip.mp4").status_code == 404
        bench.write("mp4", name)
        assert bench.get(f"{name}/clip.mp4").status_code == 200


def test_file_that_is_deleted_after_it_was_found_is_not_found(
    tmp_path: Path, daemon: Daemon, serve: Callable[[ASGIApp], str]
) -> None:
    class Late:
        """Finds what has just been deleted."""

        def find(self, event: str, suffix: str) -> Path:
            return tmp_path / f"{event}.{suffix}"

    routes = router(Late(), annotated)
    app = create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, None, events=routes)
    reply = httpx.get(f"{serve(app)}/api/events/{EVENT}/clip.mp4")
    assert (reply.status_code, reply.json()["detail"]) == (404, "the file is gone")


def test_unknown_event_is_not_found_and_says_so(bench: Bench) -> None:
    reply = bench.get(f"{uuid.UUID(int=8)}/snapshot.jpg")
    assert reply.status_code == 404
    assert "has no such file" in reply.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fsecret/snapshot.jpg",
        "%2e%2e/snapshot.jpg",
        "../../secret",
        f"{EVENT}%00/snapshot.jpg",
        f"{EVENT.upper()}x/snapshot.jpg",
        f"..%2f{EVENT}/snapshot.jpg",
        f"{EVENT}/..%2f..%2fsecret.jpg",
        "*/snapshot.jpg",
    ],
)
def test_no_path_leads_out_of_the_folder(bench: Bench, path: str) -> None:
    (bench.folder.parent / "secret.jpg").write_bytes(b"secret")
    bench.write()
    reply = bench.get(path)
    assert reply.status_code in (404, 422)
    assert b"secret" not in reply.content.replace(path.encode(), b"")


@pytest.mark.parametrize("query", ["view=naked", "annotated=maybe"])
def test_odd_choice_is_refused(bench: Bench, query: str) -> None:
    assert bench.get(f"{EVENT}/snapshot.jpg?{query}").status_code == 422


def test_token_is_required_like_elsewhere(
    tmp_path: Path, daemon: Daemon, serve: Callable[[ASGIApp], str]
) -> None:
    bench = Bench(tmp_path, daemon, serve, TOKEN)
    bench.write()
    path = f"{EVENT}/snapshot.jpg"
    given = (None, "Bearer wrong", f"Bearer {TOKEN}")
    replies = [bench.get(path, **({} if each is None else {"Authorization": each})) for each in given]
    assert [reply.status_code for reply in replies] == [401, 401, 200]
