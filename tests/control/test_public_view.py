"""What `/api/streams` shows of a stream, and what it keeps to itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.sections.stream import StreamConfig
from framelane.config.yaml.written import Entry, Place
from framelane.control.public_view import shown, shown_url
from framelane.core.redact import MASK, forget_secrets, register_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = Path("/etc/framelane/framelane.yaml")


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


class Text:
    """Stands for a file's content, of which only its presence matters here."""


def entry(place: Place, *, changed: bool = False) -> Entry:
    return Entry({"id": "lobby"}, place, changed)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://10.0.0.7/1", "rtsp://10.0.0.7/1"),
        ("rtsp://admin:hunter2@10.0.0.7/1", f"rtsp://{MASK}@10.0.0.7/1"),
        ("rtsp://admin@10.0.0.7/1", f"rtsp://{MASK}@10.0.0.7/1"),
        ("rtsp://admin:a/b@c@10.0.0.7/1", f"rtsp://{MASK}@10.0.0.7/1"),
        ("http://10.0.0.7/jpg?mail=me@home", "http://10.0.0.7/jpg?mail=me@home"),
        ("http://10.0.0.7/jpg?password=hunter2", f"http://10.0.0.7/jpg?password={MASK}"),
        ("clips/street.mp4", "clips/street.mp4"),
    ],
)
def test_address_is_shown_without_a_login(url: str, expected: str) -> None:
    assert shown_url(url) == expected


def test_secret_is_masked_wherever_it_is_in_the_address() -> None:
    register_secret("hunter2hunter2")
    assert shown_url("http://10.0.0.7/hunter2hunter2/1") == f"http://10.0.0.7/{MASK}/1"


def test_options_of_ffmpeg_are_named_and_their_values_are_not() -> None:
    stream = StreamConfig.model_validate(
        {"id": "lobby", "url": "rtsp://a:hunter2@h/1", "ffmpeg": {"headers": "X-Key: hunter2", "an": "1"}}
    )
    view = shown(stream, entry(Place()), MAIN)
    assert view["ffmpeg"] == {"headers": MASK, "an": MASK}
    assert "hunter2" not in str(view)
    assert (view["id"], view["transport"]) == ("lobby", "tcp")


@pytest.mark.parametrize(
    ("url", "expected"),
    [(None, None), ("rtsp://admin:hunter2@10.0.0.7/2", f"rtsp://{MASK}@10.0.0.7/2")],
)
def test_address_of_the_sub_stream_is_shown_without_a_login(url: str | None, expected: str | None) -> None:
    stream = StreamConfig.model_validate({"id": "lobby", "url": "rtsp://h/1", "preview_url": url})
    assert shown(stream, entry(Place()), MAIN)["preview_url"] == expected


@pytest.mark.parametrize(
    ("place", "changed", "source", "persisted"),
    [
        ({}, False, "http", False),
        ({"document": Text()}, False, str(MAIN), True),
        ({"document": Text(), "file": "streams.d/gate.yaml"}, False, "streams.d/gate.yaml", True),
        ({"document": Text()}, True, str(MAIN), False),
    ],
    ids=["over HTTP", "main file", "folder", "changed at run time"],
)
def test_view_says_where_the_stream_is_written_and_whether_that_is_still_so(
    place: dict[str, Any], source: str, *, changed: bool, persisted: bool
) -> None:
    stream = StreamConfig.model_validate({"id": "lobby", "url": "rtsp://h/1"})
    view = shown(stream, entry(Place(**place), changed=changed), MAIN)
    assert (view["source"], view["persisted"]) == (source, persisted)
