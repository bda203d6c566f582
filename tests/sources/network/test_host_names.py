from __future__ import annotations

import socket
import threading

import pytest

from framelane.sources.network import host_names
from framelane.sources.network.host_names import look_up, resolves


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_look_up_takes_literal_addresses(host: str, family: int) -> None:
    ((found, address),) = look_up(host, 554, numeric=True)
    assert (family, host, 554) == (found, address[0], address[1])


@pytest.mark.parametrize("host", ["localhost", "camera.invalid", "a" * 64 + ".example", "a..b"])
def test_look_up_finds_nothing_when_the_name_is_no_literal(host: str) -> None:
    assert look_up(host, 554, numeric=True) == []


def test_resolves_tells_whether_there_is_an_address() -> None:
    assert resolves("127.0.0.1", 5.0)
    assert not resolves("a" * 64 + ".example", 5.0)


def test_resolves_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(host: str, port: int) -> list[object]:
        release.wait(10.0)
        return [host, port]

    monkeypatch.setattr(host_names, "look_up", slow)
    assert not resolves("camera", 0.01)
    release.set()
