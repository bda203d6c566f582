"""HTTPS: the certificate is used, renewed while the daemon runs, and refused with a remedy."""

from __future__ import annotations

import shutil
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Certificates, make_certificates

from framelane.core.errors import FramelaneError
from framelane.web.server import HttpServer
from framelane.web.tls import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


@pytest.fixture(scope="module")
def makings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificates, Certificates]:
    """Certificates of two authorities."""
    folder = tmp_path_factory.mktemp("certificates")
    return make_certificates(folder / "old"), make_certificates(folder / "new")


class Site:
    """A listener whose files can be replaced."""

    def __init__(self, folder: Path, first: Certificates) -> None:
        self.cert, self.key = folder / "http.crt", folder / "http.key"
        self.put(first)
        self.server = HttpServer(hello, "127.0.0.1:0", Certificate(str(self.cert), str(self.key)).context)

    def put(self, made: Certificates) -> None:
        for source, target in ((made.server_cert, self.cert), (made.server_key, self.key)):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    def get(self, trusted: Certificates, scheme: str = "https") -> str:
        context = ssl.create_default_context(cafile=str(trusted.ca))
        return httpx.get(f"{scheme}://127.0.0.1:{self.server.address[1]}/", verify=context, timeout=10).text


@pytest.fixture
def site(tmp_path: Path, makings: tuple[Certificates, Certificates]) -> Iterator[Site]:
    site = Site(tmp_path, makings[0])
    site.server.start()
    yield site
    assert site.server.stop()


def test_listener_serves_only_https(site: Site, makings: tuple[Certificates, Certificates]) -> None:
    assert site.get(makings[0]) == "https"
    with pytest.raises(httpx.HTTPError):
        site.get(makings[0], scheme="http")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        site.get(makings[1])


def test_listener_shows_a_renewed_certificate_at_once(
    site: Site, makings: tuple[Certificates, Certificates]
) -> None:
    assert site.get(makings[0]) == "https"
    site.put(makings[1])
    assert site.get(makings[1]) == "https"


def test_listener_keeps_the_previous_certificate_when_the_new_one_is_unusable(
    site: Site, makings: tuple[Certificates, Certificates]
) -> None:
    with capture_logs() as logs:
        shutil.copy(makings[1].server_cert, site.cert)  # and its key is still on its way
        assert [site.get(makings[0]) for _ in range(2)] == ["https", "https"]
        shutil.copy(makings[1].server_key, site.key)
        assert site.get(makings[1]) == "https"
    # Other libraries may log here too.
    ours = [entry for entry in logs if entry["event"].startswith("http_certificate")]
    assert [entry["event"] for entry in ours] == ["http_certificate_refused", "http_certificate_renewed"]
    assert str(site.cert) in ours[0]["error"]


def test_certificate_that_can_not_be_used_stops_the_start_with_the_remedy(
    tmp_path: Path, makings: tuple[Certificates, Certificates]
) -> None:
    with pytest.raises(FramelaneError, match=r"http\.cert_file and http\.key_file .*KEY_VALUES_MISMATCH"):
        Certificate(str(makings[0].server_cert), str(makings[1].server_key))
    with pytest.raises(FramelaneError, match="No such file"):
        Certificate(str(tmp_path / "none.crt"), str(tmp_path / "none.key"))
