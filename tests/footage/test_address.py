from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.footage.pictures import event_of
from tests.sinks.examples import WALL_S

from framelane.config.sections.http import HttpConfig
from framelane.config.sections.media import MediaConfig
from framelane.footage.address import Addresses, base_url


@pytest.mark.parametrize(
    ("url", "http", "expected"),
    [
        (None, {}, None),
        (None, {"listen": "127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        (None, {"listen": "[fd00::1]:8080"}, "http://[fd00::1]:8080"),
        (None, {"listen": "gate-01:8443", "cert_file": "c", "key_file": "k"}, "https://gate-01:8443"),
        (None, {"listen": "0.0.0.0:8080"}, None),
        (None, {"listen": "[::]:8080"}, None),
        (None, {"listen": "127.0.0.1:0"}, None),
        ("https://cams.example/gate/", {"listen": "0.0.0.0:8080"}, "https://cams.example/gate"),
        ("http://gate-01:8080", {}, "http://gate-01:8080"),
    ],
)
def test_address_is_configured_or_that_of_the_listener(
    url: str | None, http: dict[str, Any], expected: str | None
) -> None:
    config: Any = SimpleNamespace(media=MediaConfig(url=url), http=HttpConfig(**http))
    assert base_url(config) == expected


PLACE = "2026-11-22/lobby/0190a1b2"


@pytest.mark.parametrize(
    ("url", "s3", "snapshot", "clip"),
    [
        (None, None, None, None),
        (
            "http://gate-01:8080",
            {},
            "http://gate-01:8080/api/events/0190a1b2/snapshot.jpg",
            "http://gate-01:8080/api/events/0190a1b2/clip.mp4",
        ),
        (None, {}, None, None),
        (
            "http://gate-01:8080",
            {"public_url": "https://cdn.example/cams/"},
            f"https://cdn.example/cams/{PLACE}.jpg",
            f"https://cdn.example/cams/{PLACE}.mp4",
        ),
        (
            None,
            {"public_url": "https://cdn.example", "prefix": "site/a"},
            f"https://cdn.example/site/a/{PLACE}.jpg",
            f"https://cdn.example/site/a/{PLACE}.mp4",
        ),
    ],
)
def test_files_are_at_the_listener_or_where_the_bucket_is_read(
    url: str | None, s3: dict[str, Any] | None, snapshot: str | None, clip: str | None
) -> None:
    media = MediaConfig.model_validate({"url": url, "s3": s3 if s3 is None else {"bucket": "cams", **s3}})
    config: Any = SimpleNamespace(media=media, http=HttpConfig())
    addresses, event = Addresses.of(config), event_of(7, "line", at=WALL_S)
    assert (addresses.snapshot(event, "0190a1b2"), addresses.clip(event, "0190a1b2")) == (snapshot, clip)
