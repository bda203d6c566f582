"""Certificates of cameras: checked where that is asked for, with the cause in the state, and a warning elsewhere."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.http.client import HttpClient
from framelane.sources.network.certificates import is_unverified, system_authorities
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.neighbours.certificates import Makings
    from tests.sources.conftest import Clips, Watch

UNTRUSTED = "set tls.ca_file to its authority, or tls.verify: false"
MEANINGS = {
    "self": f"the camera's certificate is not trusted (self-signed certificate); {UNTRUSTED}",
    "expired": "the camera's certificate has expired; renew it, check both clocks, or tls.verify: false",
    "name": "the camera's certificate is for another host (IP address mismatch, certificate is not valid for "
    "'127.0.0.1'.); write a name that it holds in `url`, or tls.verify: false",
}


@pytest.fixture(scope="module")
def cameras(makings: Makings, clips: Clips) -> Iterator[dict[str, str]]:
    """URLs of cameras by their certificates."""
    names = ("good", "self", "name", "expired")
    spec = CameraSpec("cam", clips.paths["h264"])
    servers = {name: RtspServer([spec], tls=makings.context(name)) for name in names}
    for server in servers.values():
        server.start()
    yield {name: server.url("cam") for name, server in servers.items()}
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="module")
def pages(makings: Makings, clips: Clips) -> Iterator[dict[str, str]]:
    """The same over HTTPS: one Motion JPEG file."""
    body = clips.paths["mjpeg"].read_bytes()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Not here."""

    servers = {}
    for name in ("good", "self"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        server.socket = makings.context(name).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers[name] = server
    yield {name: f"https://127.0.0.1:{server.server_address[1]}/cam" for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


def opened(url: str, **tls: object) -> str:
    """The codec, or reason and text of what is wrong."""
    options = StreamOptions.model_validate({"tls": tls})
    try:
        with ContainerSource(url, options, SourceParts(SystemClock(), Meters().stream("cam"))) as source:
            next(iter(source.pictures()))
            return source.info.codec
    except SourceError as error:
        return f"{error.reason}: {error}"


@pytest.mark.parametrize("name", ["good", "self", "name", "expired"])
def test_any_certificate_will_do_when_none_is_verified(cameras: dict[str, str], name: str) -> None:
    assert opened(cameras[name]) == "h264"


def test_camera_is_opened_when_its_authority_is_trusted(cameras: dict[str, str], makings: Makings) -> None:
    assert opened(cameras["good"], verify=True, ca_file=makings.file("ca.crt")) == "h264"


def test_own_certificate_may_be_its_authority(cameras: dict[str, str], makings: Makings) -> None:
    assert opened(cameras["self"], verify=True, ca_file=makings.file("self.crt")) == "h264"


@pytest.mark.parametrize("name", ["self", "expired", "name"])
def test_state_names_cause_and_remedy(cameras: dict[str, str], makings: Makings, name: str) -> None:
    found = opened(cameras[name], verify=True, ca_file=makings.file("ca.crt"))
    assert found == f"certificate: {MEANINGS[name]}"


def test_systems_authorities_are_trusted_by_default(
    cameras: dict[str, str], makings: Makings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", makings.file("self.crt"))
    words = "unable to get local issuer certificate"
    found = opened(cameras["good"], verify=True)
    assert found == f"certificate: the camera's certificate is not trusted ({words}); {UNTRUSTED}"
    monkeypatch.setenv("SSL_CERT_FILE", makings.file("ca.crt"))
    assert opened(cameras["good"], verify=True) == "h264"


def test_host_without_authorities_says_so(cameras: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framelane.sources.network.certificates.system_authorities", lambda: None)
    found = opened(cameras["good"], verify=True)
    assert found.startswith("certificate: this host has no file of authorities to trust; set tls.ca_file")


def test_authorities_are_found_where_the_environment_says(makings: Makings) -> None:
    assert system_authorities({"SSL_CERT_FILE": makings.file("ca.crt")}) == makings.file("ca.crt")
    assert system_authorities({"SSL_CERT_FILE": "/nowhere"}) != "/nowhere"


def test_https_is_verified_too(pages: dict[str, str], makings: Makings) -> None:
    trusted = makings.file("ca.crt")
    assert opened(pages["self"]) == "mjpeg"
    assert opened(pages["good"], verify=True, ca_file=trusted) == "mjpeg"
    assert opened(pages["self"], verify=True, ca_file=trusted) == f"certificate: {MEANINGS['self']}"


def fetched(url: str, **tls: object) -> str:
    """The same with our own client: the status, or reason and text."""
    options = StreamOptions.model_validate({"tls": tls})
    try:
        with HttpClient(url, options).get(url, 5.0) as response:
            return str(response.status)
    except SourceError as error:
        return f"{error.reason}: {error}"


def test_our_own_client_looks_at_certificates_as_ffmpeg_does(pages: dict[str, str], makings: Makings) -> None:
    trusted = makings.file("ca.crt")
    assert fetched(pages["self"]) == "200"
    assert fetched(pages["good"], verify=True, ca_file=trusted) == "200"
    assert fetched(pages["self"], verify=True, ca_file=trusted) == f"certificate: {MEANINGS['self']}"


def test_nobody_asks_for_a_certificate_when_something_else_is_wrong(
    cameras: dict[str, str], makings: Makings
) -> None:
    nowhere = cameras["good"].replace("/cam", "/nowhere")
    found = opened(nowhere, verify=True, ca_file=makings.file("ca.crt"))
    assert found.startswith("not-found: ")
    assert opened("rtsps://127.0.0.1:1/cam", verify=True, ca_file=makings.file("ca.crt")).startswith(
        "refused: "
    )


def test_log_warns_once_of_a_stream_that_nobody_verifies(
    cameras: dict[str, str], makings: Makings, watch: Watch
) -> None:
    with capture_logs() as logs:
        lost = watch(cameras["good"].replace("/cam", "/nowhere"))
        lost.wait_for(lambda: sum(state.state == "down" for state in lost.states) >= 2, "second try")
        verified = watch(cameras["good"], tls={"verify": True, "ca_file": makings.file("ca.crt")})
        verified.wait_for_state("live")
    warnings = [entry for entry in logs if entry["event"] == "tls_unverified"]
    assert [(entry["log_level"], entry["stream"]) for entry in warnings] == [("warning", "cam")]


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("rtsps://cam/x", {}, True),
        ("HTTPS://cam/x", {}, True),
        ("rtsp://cam/x", {}, False),
        ("/dev/video0", {}, False),
        ("rtsps://cam/x", {"tls": {"verify": "true"}}, False),
        ("rtsps://cam/x", {"ffmpeg": {"tls_verify": "1"}}, False),
    ],
)
def test_stream_is_unverified_when_nobody_looks(url: str, options: dict[str, Any], expected: object) -> None:
    assert is_unverified(url, StreamOptions.model_validate(options)) == expected
