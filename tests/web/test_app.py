from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from framelane import __version__
from framelane.telemetry.health import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

TOKEN = "correct horse battery"
LOCKED = ("/metrics", "/api/status", "/openapi.json", "/", "/docs", "/nowhere")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_say_ok_when_all_is_well(daemon: Daemon, serve: Serve, path: str) -> None:
    reply = httpx.get(serve(daemon.app()) + path)
    assert (reply.status_code, reply.json()) == (200, {"ok": True, "reasons": []})


@pytest.mark.parametrize(("path", "other"), [("/healthz", "/readyz"), ("/readyz", "/healthz")])
def test_probes_say_why_when_not(daemon: Daemon, serve: Serve, path: str, other: str) -> None:
    bad = Health(("model yolox is not loaded", "stream lobby is down: refused"))
    daemon.alive, daemon.ready = (bad, Health()) if path == "/healthz" else (Health(), bad)
    url = serve(daemon.app())
    reply = httpx.get(url + path)
    assert (reply.status_code, reply.json()) == (503, {"ok": False, "reasons": list(bad.reasons)})
    assert httpx.get(url + other).status_code == 200


def test_metrics_are_prometheus_text(daemon: Daemon, serve: Serve) -> None:
    reply = httpx.get(serve(daemon.app()) + "/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "framelane_latency_seconds" in {
        family.name for family in text_string_to_metric_families(reply.text)
    }


def test_metrics_are_openmetrics_when_asked_for(daemon: Daemon, serve: Serve) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
    reply = httpx.get(serve(daemon.app()) + "/metrics", headers={"Accept": accept})
    assert reply.headers["content-type"].startswith(
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    assert reply.text.endswith("# EOF\n")


def test_status_shows_node_and_streams(daemon: Daemon, serve: Serve) -> None:
    daemon.clock.monotonic_s += 2.0
    daemon.window.close()
    reply = httpx.get(serve(daemon.app()) + "/api/status").json()
    figures = {
        "window_s": 2.0,
        "fps_in": 0.0,
        "fps_decoded": 0.0,
        "fps_inferred": 0.0,
        "fps_published": 0.5,
        "dropped": {
            "fps": 0,
            "late": 0,
            "replaced": 0,
            "decode": 0,
            "damaged": 0,
            "stopping": 0,
            "failed": 0,
        },
        "latency_ms": {"p50": 45.0, "p95": 45.0, "p99": 45.0},
    }
    assert reply == {
        "node": {
            "id": "gate-01",
            "version": __version__,
            "state": "online",
            "reason": "ok",
            "text": "all streams are live",
            "since": "2025-11-22T09:00:00Z",
            "streams_live": 1,
            "streams": 1,
            "streams_disabled": 0,
            "figures": figures,
            "rss_bytes": 123,
            "cpu_cores": 0.0,
        },
        "streams": [
            {
                "id": "lobby",
                "state": "live",
                "reason": "ok",
                "text": "frames arrive",
                "since": "2025-11-22T09:00:00Z",
                "reconnects": 0,
                "last_frame_age_s": 2.0,
                "codec": "h264",
                "width": 640,
                "height": 480,
                "fps": 25.0,
                "decoder": "cpu",
                "clock": "receive",
                "preview": False,
                "figures": figures,
            }
        ],
    }


def test_status_works_before_the_first_window_and_frame(daemon: Daemon, serve: Serve) -> None:
    daemon.board.stream("new")
    reply = httpx.get(serve(daemon.app()) + "/api/status").json()
    assert reply["node"]["figures"] is None
    assert reply["streams"][1]["last_frame_age_s"] is None
    assert reply["streams"][1]["figures"] is None


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, 'Bearer realm="framelane"'),
        ("Bearer", 'Bearer realm="framelane"'),
        ("Bearer wrong", 'Bearer realm="framelane", error="invalid_token"'),
        (f"Basic {TOKEN}", 'Bearer realm="framelane", error="invalid_token"'),
        (f"Bearer {TOKEN[:-1]}", 'Bearer realm="framelane", error="invalid_token"'),
        (f"Bearer {TOKEN} more", 'Bearer realm="framelane", error="invalid_token"'),
        ("Bearer gr\xfc\xdfe", 'Bearer realm="framelane", error="invalid_token"'),
    ],
)
def test_locked_paths_ask_for_the_token(
    daemon: Daemon, serve: Serve, header: str | None, challenge: str
) -> None:
    url = serve(daemon.app(TOKEN))
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    for path in LOCKED:
        reply = httpx.get(url + path, headers=headers)
        assert (path, reply.status_code, reply.headers["www-authenticate"]) == (path, 401, challenge)
        assert TOKEN not in reply.text
        assert (reply.headers["content-type"], reply.json()["status"]) == ("application/problem+json", 401)


def test_unknown_path_and_method_are_problems(daemon: Daemon, serve: Serve) -> None:
    url = serve(daemon.app())
    for reply, status in ((httpx.get(f"{url}/nowhere"), 404), (httpx.delete(f"{url}/metrics"), 405)):
        assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
        assert reply.json() | {"detail": ""} == {"title": reply.reason_phrase, "status": status, "detail": ""}
    assert httpx.delete(f"{url}/metrics").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_locked_paths_open_with_the_token(daemon: Daemon, serve: Serve, scheme: str) -> None:
    url = serve(daemon.app(TOKEN))
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    codes = {path: httpx.get(url + path, headers=headers).status_code for path in LOCKED}
    assert codes == {
        "/metrics": 200,
        "/api/status": 200,
        "/openapi.json": 200,
        "/": 404,
        "/docs": 404,
        "/nowhere": 404,
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(daemon: Daemon, serve: Serve, path: str) -> None:
    assert httpx.get(serve(daemon.app(TOKEN)) + path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/healthz/", "//healthz", "/healthz/../metrics", "/HEALTHZ", "/readyz%2f..%2fmetrics"]
)
def test_no_detour_around_the_token(daemon: Daemon, serve: Serve, path: str) -> None:
    assert httpx.get(serve(daemon.app(TOKEN)) + path).status_code == 401


@pytest.mark.parametrize("token", ["gr\xfc\xdfe", " with blanks around "])
def test_token_that_a_header_carries_in_its_own_way_opens_too(
    daemon: Daemon, serve: Serve, token: str
) -> None:
    headers = {b"Authorization": b"Bearer " + token.strip().encode()}
    assert httpx.get(serve(daemon.app(token)) + "/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_refused_rather_than_none_at_all(daemon: Daemon, token: str) -> None:
    with pytest.raises(ValueError, match="token is empty"):
        daemon.app(token)


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/status", "/nowhere"])
def test_every_answer_has_security_headers(daemon: Daemon, serve: Serve, path: str) -> None:
    for token in (None, TOKEN):
        headers = httpx.get(serve(daemon.app(token)) + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_openapi_names_routes_models_and_the_token(daemon: Daemon, serve: Serve) -> None:
    schema = httpx.get(
        serve(daemon.app(TOKEN)) + "/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}
    ).json()
    assert set(schema["paths"]) == {"/healthz", "/readyz", "/metrics", "/api/status"}
    assert {"StatusReply", "HealthReply"} <= set(schema["components"]["schemas"])
    assert schema["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
    assert "security" in schema["paths"]["/metrics"]["get"]
    assert "security" not in schema["paths"]["/healthz"]["get"]
    assert "503" in schema["paths"]["/readyz"]["get"]["responses"]
