from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framelane.config.sections.http import HttpConfig
from framelane.config.sections.media import MediaConfig
from framelane.footage.address import base_url


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
