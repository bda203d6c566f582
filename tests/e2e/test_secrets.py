"""Secrets are planted wherever a configuration can hold one; nothing that leaves the daemon may hold any of them."""

from __future__ import annotations

import json
import signal
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from tests.e2e.daemon import Daemon, free_port
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Login, Subscriber
from tests.web.watching import open_socket

from framelane.config.yaml.load import check_config
from framelane.core.redact import forget_secrets, redact
from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
# By where they are planted; no two alike, none a word that could stand anywhere by itself.
SECRETS = {
    "live": "l1ve-p@ss/w:rd#1?%&=[]",  # from the environment, so that the daemon encodes it
    "refused": "r3fused-Geheim-4711",
    "encoded": "enc0ded p@ss+w%rd",  # in the file, percent-encoded
    "unauthorized": "wr0ng-but-secret-pw",
    "query": "qu3ry-t0ken-8812",
    "path": "xm3ye-pass-0815",
    "file": "fr0m-a-file-$ecret",
    "credential": "fr0m-systemd-credential",
    "ffmpeg": "h3ader-secret-9921",
    "preview": "sub-stre4m:secret",
    "mqtt": "mqtt-p4ssword: with, signs",
    "http": "http-t0ken-abcdefgh",
}


def forms(secret: str) -> set[str]:
    """How a secret may look when something has passed it on."""
    plain = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
    plain.add("".join(quote(char, safe="") if char in "/?#@[]% " else char for char in secret))  # as in a URL
    return plain | {b64encode(f"{user}:{secret}".encode()).decode() for user in ("viewer", "framelane")}


def found_in(text: str) -> set[str]:
    return {name for name, secret in SECRETS.items() for form in forms(secret) if form in text}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("mqtt", "http", "file"):
        (folder / name).write_text(SECRETS[name] + "\n")
    (folder / "framelane_CREDENTIAL_PW").write_text(SECRETS["credential"])
    return folder


@pytest.fixture
def cameras(material: Material) -> Iterator[RtspServer]:
    specs = [
        CameraSpec("live", material.plain, "viewer", SECRETS["live"], auth="basic"),
        CameraSpec("locked", material.plain, "viewer", "another"),
    ]
    with RtspServer(specs) as server:
        yield server


def settings(material: Material, cameras: RtspServer, broker: str, files: Path, port: int) -> dict[str, Any]:
    closed, rtsp = free_port(), f"127.0.0.1:{cameras.port}"
    urls = {
        "live": f"rtsp://viewer:${{LIVE_PW}}@{rtsp}/live",
        "refused": f"rtsp://viewer:{SECRETS['refused']}@127.0.0.1:{closed}/1",
        "encoded": f"rtsp://viewer:{quote(SECRETS['encoded'], safe='')}@127.0.0.1:{closed}/1",
        "unauthorized": f"rtsp://viewer:{SECRETS['unauthorized']}@{rtsp}/locked",
        "query": f"http://127.0.0.1:{port}/camera?user=viewer&token={SECRETS['query']}",
        "path": f"rtsp://{rtsp}/user=viewer_password={SECRETS['path']}_channel=1.sdp",
        "file": f"rtsp://viewer:${{FILE_PW}}@{rtsp}/locked",
        "credential": "rtsp://viewer:${CREDENTIAL_PW}@nowhere.invalid/1",
        "ffmpeg": f"http://127.0.0.1:{port}/camera",
        "leaky": f"rtsp://viewer:${{LIVE_PW}}@{rtsp}/live?token={SECRETS['query']}",
    }
    streams: list[dict[str, Any]] = [{"id": name, "url": url} for name, url in urls.items()]
    hidden = quote(SECRETS["preview"], safe="")
    streams[0]["preview_url"] = f"rtsp://viewer:{hidden}@{rtsp}/locked?token={SECRETS['query']}"
    for stream in streams[-2:]:
        stream["ffmpeg"] = {
            "headers": f"X-Camera-Key: {SECRETS['ffmpeg']}\r\n",
            "passphrase": SECRETS["ffmpeg"],
        }
    return {
        "node": {"id": "gate-01", "shutdown_s": 3, "stats_s": 1},
        "log": {"format": "json", "level": "debug"},
        "mqtt": {"url": broker, "username": "framelane", "password_file": str(files / "mqtt")},
        "http": {"listen": f"127.0.0.1:{port}", "token_file": str(files / "http")},
        "jsonl": {"path": "-", "kinds": ["detections", "state", "stats", "status"]},
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "defaults": {"fps": 5, "open_timeout_s": 3, "backoff": {"first_s": 0.2, "most_s": 0.5}},
        "streams": streams,
    }


def environment(files: Path) -> dict[str, str]:
    return {
        "LIVE_PW": SECRETS["live"],
        "FILE_PW_FILE": str(files / "file"),
        "CREDENTIALS_DIRECTORY": str(files),
    }


def answers(port: int) -> Iterable[str]:
    """Every page, with the token, without it and with a wrong one; and requests that are errors."""
    tokens = [None, SECRETS["http"], "wrong-token-1234"]
    pages = [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/status",
        "/api/streams",
        "/openapi.json",
        "/nowhere?token=x",
        "/api/status/%00",
    ]
    requests = [("GET", page, token) for page in pages for token in tokens]
    requests += [
        ("DELETE", "/metrics", SECRETS["http"]),
        ("POST", "/api/status", SECRETS["http"]),
        ("POST", "/api/detect", SECRETS["http"]),
    ]
    for method, page, token in requests:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(
            method, page, headers={} if token is None else {"Authorization": f"Bearer {token}"}
        )
        answer = connection.getresponse()
        yield f"{answer.status} {answer.getheaders()} {answer.read().decode()}"
        connection.close()


def wait_for_fault(daemon: Daemon, stream: str) -> None:
    daemon.wait_for_event("stream_down", lambda event: event["stream"] == stream)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_secret_leaves_the_daemon(
    material: Material, cameras: RtspServer, tmp_path: Path, files: Path, workers: int
) -> None:
    """One camera works, the others fail in ways of their own; the broker is there, then it refuses the password."""
    port = free_port()
    command = ("tests.e2e.leaky",) if workers == 1 else ("framelane", "run")
    right = MosquittoOptions(users=(("framelane", SECRETS["mqtt"]), ("test", "test")))
    mosquitto = Mosquitto(tmp_path / "broker", right)
    config = settings(material, cameras, mosquitto.url, files, port) | {"workers": workers}
    reasons = {"refused", "encoded", "unauthorized", "query", "path", "file", "credential", "ffmpeg"} | (
        {"leaky"} if workers == 1 else set()
    )
    with mosquitto, Daemon(tmp_path, config, command, environment(files)) as daemon:
        with Subscriber(mosquitto.url, "#", login=Login("test", "test")) as subscriber:
            daemon.wait_for_event("mqtt_connected")
            for stream in reasons:
                wait_for_fault(daemon, stream)
            subscriber.wait_for(lambda message: message.topic == f"{BASE}/streams/live/detections", 60)
            subscriber.wait_for(lambda message: message.topic == f"{BASE}/stats", 60)
            with open_socket(f"http://127.0.0.1:{port}", SECRETS["http"]) as page:
                page.send('{"op": "watch", "channel": 1, "stream": "live", "want": "video"}')
                daemon.wait_for_event("preview_down", lambda event: event["reason"] == "unauthorized")
                told = page.recv(60)
                assert isinstance(told, bytes)
            pages = [*answers(port), told.decode(errors="replace")]
            messages = [
                f"{each.topic} {each.payload.decode()} {each.properties}" for each in subscriber.messages
            ]
        mosquitto.stop()
        other = Mosquitto(tmp_path / "other", MosquittoOptions(users=(("framelane", "another"),)))
        other.port = mosquitto.port
        (tmp_path / "other" / "mosquitto.conf").write_text("\n".join(other._settings()) + "\n")
        with other:
            daemon.wait_for_event("sink_failed", lambda event: event["reason"] == "unauthorized")
        commands = [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in daemon.pids()]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    said = {
        "log": daemon.log,
        "output": daemon.output,
        "messages": "\n".join(messages),
        "pages": "\n".join(pages),
    }
    assert {place: found_in(text) for place, text in said.items()} == {place: set() for place in said}
    assert found_in("\n".join(commands)) == set()
    assert len(commands) == (1 if workers == 1 else 3)
    assert [page[:3] for page in pages].count("401") > 0


def test_no_secret_shows_where_a_configuration_is_printed_or_refused(
    material: Material, cameras: RtspServer, tmp_path: Path, files: Path
) -> None:
    config = settings(material, cameras, "mqtt://127.0.0.1", files, free_port())
    daemon = Daemon(tmp_path, config)
    report = check_config(daemon.config_file, environment(files))
    shown = f"{report!r} {report.require()!r} {report.require()} {report.require().model_dump_json()}"
    # Addresses and options of FFmpeg are plain text to the types; whatever writes them out redacts.
    assert found_in(redact(shown)) == set()

    config["streams"][0] |= {"fps": "many", "url": 7}
    config["mqtt"]["password"] = SECRETS["mqtt"]
    config["streams"].append(
        {"id": "broken", "url": f"rtps://viewer:{SECRETS['refused']}@x:99999/1", "ffmpeg": []}
    )
    refused = Daemon(tmp_path / "refused", config, ("framelane", "check"), environment(files))
    with refused:
        assert refused.wait() == 2
    assert "streams[0].fps" in refused.log
    assert found_in(refused.log + refused.output) == set()
    forget_secrets()
