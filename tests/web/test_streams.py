"""`/api/streams`: replies for the editor's outcomes, and access control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from framelane.core.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    Finding,
    FramelaneError,
    ModelError,
    NotStoredError,
    RestartNeededError,
    UnknownStreamError,
)
from framelane.core.redact import forget_secrets, register_secret
from framelane.web.edit_requests import MOST_BYTES

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from .conftest import Daemon

TOKEN = "correct horse battery"
FINDING = Finding("fps", "expected a number; got `hunter2hunter2`", "streams.d/a.yaml", 3)


@dataclass(frozen=True)
class Done:
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    took_s: float = 0.0123


@dataclass(frozen=True)
class Found:
    """What a probe found."""

    reason: str = "refused"
    text: str = "nothing listens at this address"
    remedy: str = "host, port"
    video: dict[str, Any] | None = None
    image: bytes | None = None


VIDEO = {
    "codec": "h264",
    "width": 640,
    "height": 480,
    "pixel_format": "yuv420p",
    "declared_fps": None,
    "measured_fps": 25.0,
    "clock": "receive",
    "clock_offset_ms": None,
    "first_frame_s": 0.4,
    "frames": 50,
    "packets": 50,
    "undecodable": 0,
    "transport": "tcp",
    "reader": "framelane",
    "hints": ["one frame late"],
}


class Editor:
    """Records its calls, and raises the given error."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.error: FramelaneError | None = None
        self.found = Found()

    def listed(self) -> list[dict[str, Any]]:
        return [self.shown("lobby")]

    def shown(self, stream: str) -> dict[str, Any]:
        if stream == "none":
            raise UnknownStreamError("no stream has the id `none`")
        return {"id": stream, "url": "rtsp://***@h/1"}

    def add(self, options: dict[str, Any], *, persist: bool | None) -> Done:
        return self.note(("add", options, persist), Done(added=[options["id"]]))

    def change(self, stream: str, options: dict[str, Any], *, persist: bool | None) -> Done:
        return self.note(("change", stream, options, persist), Done(changed=[stream]))

    def remove(self, stream: str, *, persist: bool | None) -> Done:
        return self.note(("remove", stream, persist), Done(removed=[stream]))

    def reload(self) -> Done:
        return self.note(("reload",), Done())

    def probe(self, options: dict[str, Any], gone: threading.Event) -> Found:
        self.note(("probe", options), Done())
        return self.found

    def note(self, asked: tuple[Any, ...], done: Done) -> Done:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return done


@dataclass
class Site:
    """A served application with its editor."""

    url: str
    editor: Editor

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, timeout=30, **options)


@pytest.fixture
def editor() -> Editor:
    return Editor()


@pytest.fixture
def site(daemon: Daemon, serve: Callable[[ASGIApp], str], editor: Editor) -> Site:
    """Without a token, on loopback."""
    return Site(serve(daemon.app(editor=editor)), editor)


def test_streams_are_listed_and_shown(site: Site) -> None:
    lobby = {"id": "lobby", "url": "rtsp://***@h/1"}
    assert site.call("GET", "/api/streams").json() == [lobby]
    assert site.call("GET", "/api/streams/lobby").json() == lobby
    reply = site.call("GET", "/api/streams/none")
    assert (reply.status_code, reply.json()["detail"]) == (404, "no stream has the id `none`")


def test_changes_are_passed_on_and_answered_with_what_they_came_to(site: Site) -> None:
    new = {"id": "gate", "url": "rtsp://h/2", "fps": 5}
    added = site.call("POST", "/api/streams", json=new)
    assert (added.status_code, added.json()["added"], added.json()["took_ms"]) == (201, ["gate"], 12.3)
    assert added.json()["stream"]["id"] == "gate"
    changed = site.call("PATCH", "/api/streams/gate?persist=false", json={"fps": None})
    assert (changed.status_code, changed.json()["changed"]) == (200, ["gate"])
    removed = site.call("DELETE", "/api/streams/gate?persist=true")
    assert (removed.status_code, removed.json()["removed"], removed.json()["stream"]) == (200, ["gate"], None)
    assert site.call("POST", "/api/reload").status_code == 200
    assert site.editor.asked == [
        ("add", new, None),
        ("change", "gate", {"fps": None}, False),
        ("remove", "gate", True),
        ("reload",),
    ]


@pytest.mark.parametrize(
    ("error", "status", "findings"),
    [
        (ConfigError([FINDING]), 422, 1),
        (RestartNeededError([FINDING]), 409, 1),
        (ConflictError("`gate` is already the id of streams[0]"), 409, 0),
        (NotStoredError("`gate` is in a.yaml, which is written by hand"), 409, 0),
        (UnknownStreamError("no stream has the id `gate`"), 404, 0),
        (ModelError("m.onnx is not an ONNX model"), 500, 0),
    ],
)
def test_refusals_are_problems_with_every_finding_and_no_secret(
    site: Site, error: FramelaneError, status: int, findings: int
) -> None:
    register_secret("hunter2hunter2")
    site.editor.error = error
    reply = site.call("PATCH", "/api/streams/gate", json={"fps": 1})
    forget_secrets()
    body = reply.json()
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert (body["status"], len(body["findings"])) == (status, findings)
    assert body["not_stored"] == isinstance(error, NotStoredError)
    assert "hunter2" not in reply.text
    if findings:
        told = {
            "path": "fps",
            "message": "expected a number; got `***`",
            "file": "streams.d/a.yaml",
            "line": 3,
        }
        assert body["findings"] == [told]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json; charset=utf-8", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{" + b" " * MOST_BYTES + b"}", "application/json", 413),
    ],
)
def test_bodies_that_are_not_options_never_reach_the_editor(
    site: Site, content: bytes, kind: str, status: int
) -> None:
    for method, path in (
        ("POST", "/api/streams"),
        ("PATCH", "/api/streams/lobby"),
        ("POST", "/api/probe"),
    ):
        reply = site.call(method, path, content=content, headers={"Content-Type": kind})
        assert reply.status_code == status
    assert site.editor.asked == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Host": "localhost:8080"}, 201),
        ({"Origin": "http://127.0.0.1:8080"}, 201),
        ({"Host": "cameras.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "[::1"}, 403),
    ],
)
def test_without_a_token_only_this_host_may_change_streams(
    site: Site, headers: dict[str, str], status: int
) -> None:
    new = {"id": "gate", "url": "rtsp://h/2"}
    reply = site.call("POST", "/api/streams", json=new, headers=headers)
    assert reply.status_code == status
    assert len(site.editor.asked) == (status == 201)
    probed = site.call("POST", "/api/probe", json={"url": "rtsp://h/2"}, headers=headers)
    assert probed.status_code == (200 if status == 201 else 403)
    assert len(site.editor.asked) == 2 * (status == 201)
    assert site.call("GET", "/api/streams", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/streams"),
        ("GET", "/api/streams/lobby"),
        ("POST", "/api/streams"),
        ("PATCH", "/api/streams/lobby"),
        ("DELETE", "/api/streams/lobby"),
        ("POST", "/api/reload"),
        ("POST", "/api/probe"),
    ],
)
def test_a_token_is_asked_for_where_there_is_one(
    daemon: Daemon, serve: Callable[[ASGIApp], str], editor: Editor, method: str, path: str
) -> None:
    site = Site(serve(daemon.app(TOKEN, editor)), editor)
    body = {"json": {"id": "gate", "url": "x"}} if method in ("POST", "PATCH") else {}
    assert site.call(method, path, **body).status_code == 401
    assert editor.asked == []
    allowed = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://ui.example"}
    assert site.call(method, path, headers=allowed, **body).status_code in (200, 201)


def test_routes_are_documented_and_absent_without_an_editor(
    site: Site, daemon: Daemon, serve: Callable[[ASGIApp], str]
) -> None:
    paths = site.call("GET", "/openapi.json").json()["paths"]
    assert set(paths["/api/streams/{stream}"]) == {"get", "patch", "delete"}
    assert "requestBody" in paths["/api/streams"]["post"]
    assert httpx.get(serve(daemon.app()) + "/api/streams").status_code == 404


def test_parameter_that_is_no_boolean_is_a_problem(site: Site) -> None:
    reply = site.call("PATCH", "/api/streams/lobby?persist=banana", json={})
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    assert "persist" in reply.json()["detail"]
    assert site.editor.asked == []


def test_probe_answers_with_what_was_found(site: Site) -> None:
    reply = site.call("POST", "/api/probe", json={"url": "rtsp://h/2", "transport": "udp"})
    refused = {"reason": "refused", "text": "nothing listens at this address", "remedy": "host, port"}
    assert (reply.status_code, reply.json()) == (200, {**refused, "video": None, "image": None})
    assert site.editor.asked == [("probe", {"url": "rtsp://h/2", "transport": "udp"})]
    site.editor.found = Found("ok", "", "", VIDEO, b"\xff\xd8\xff")
    found = site.call("POST", "/api/probe", json={"url": "rtsp://h/2"}).json()
    assert found == {"reason": "ok", "text": "", "remedy": "", "video": VIDEO, "image": "/9j/"}


def test_probe_that_has_to_wait_says_how_long(site: Site) -> None:
    site.editor.error = BusyError("2 probes are in progress: try again", 5)
    reply = site.call("POST", "/api/probe", json={"url": "rtsp://h/2"})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "5")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"] == "2 probes are in progress: try again"
