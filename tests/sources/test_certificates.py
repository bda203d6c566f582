"""Certificates of cameras: checked where that is asked for, with the cause in the state, and a warning elsewhere."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from framelane.config.schema import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.sources.certificates import is_unverified, system_authorities
from framelane.sources.container import ContainerSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sources.conftest import Clips, Watch

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
HERE = "subjectAltName=IP:127.0.0.1,DNS:localhost"
ELSEWHERE = "subjectAltName=DNS:other.example"
UNTRUSTED = "set tls.ca_file to its authority, or tls.verify: false"
MEANINGS = {
    "self": f"the camera's certificate is not trusted (self-signed certificate); {UNTRUSTED}",
    "expired": "the camera's certificate has expired; renew it, check both clocks, or tls.verify: false",
    "name": "the camera's certificate is for another host (IP address mismatch, certificate is not valid for "
    "'127.0.0.1'.); write a name that it holds in `url`, or tls.verify: false",
}


@dataclass(frozen=True)
class Makings:
    """PEM files: `<name>.crt` and `<name>.key` of an authority, `ca`, and of what it signed."""

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(f"{name}.crt"), self.file(f"{name}.key"))
        return context


@pytest.fixture(scope="module")
def makings(tmp_path_factory: pytest.TempPathFactory) -> Makings:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "self"):
        more = ("-subj", f"/CN={name}", "-addext", HERE, "-days", "7", "-out", f"{name}.crt")
        openssl("req", "-x509", *KEY, "-keyout", f"{name}.key", *more)
    for name, names, days in (("good", HERE, "7"), ("name", ELSEWHERE, "7"), ("expired", HERE, "-1")):
        openssl("req", *KEY, "-keyout", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (folder / "ext").write_text(names)
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext", "-days", days)
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.crt")
    return Makings(folder)


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
        with ContainerSource(url, options, SystemClock(), Meters().stream("cam")) as source:
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
    monkeypatch.setattr("framelane.sources.certificates.system_authorities", lambda: None)
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
