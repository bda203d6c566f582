from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from framelane.web.page import page_files

from .watching import TOKEN, Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

FILES = page_files()


@pytest.fixture
def page(daemon: Daemon, serve: Serve) -> str:
    return serve(Watched(daemon, TOKEN).app)


@pytest.mark.parametrize("path", FILES)
def test_the_pages_files_need_no_token_and_allow_own_scripts_only(page: str, path: str) -> None:
    reply = httpx.get(page + path)
    assert (reply.status_code, reply.content) == (200, FILES[path][0])
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_browser_that_has_a_file_gets_it_once(page: str) -> None:
    tag = httpx.get(f"{page}/page/main.js").headers["etag"]
    again = httpx.get(f"{page}/page/main.js", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/%2e%2e/__init__.py",
        "/page/....//app.py",
        "/page//etc/passwd",
        "/page/main.js%00",
        "/page/main.js/",
        "/page/index.html",
        "//page/main.js",
        "/api/status",
    ],
)
def test_everything_else_needs_the_token(page: str, path: str) -> None:
    """Paths go out as they are: httpx would resolve dots."""
    request = httpx.Request("GET", httpx.URL(page).copy_with(raw_path=path.encode()))
    with httpx.Client() as client:
        assert client.send(request).status_code == 401
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        assert client.send(request).status_code == (200 if path == "/api/status" else 404)


def test_the_page_refers_to_its_own_files_only() -> None:
    """No CDN: it works without the Internet. SVG's namespace is a name, not an address."""
    for path, (content, _) in FILES.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", text) == [], path
        for name in re.findall(r'(?:src|href)="(/[^"#]*)"', text):
            assert name in FILES, path
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert f"/page/{name}" in FILES, path


def test_nothing_becomes_markup() -> None:
    """Names and labels come from cameras and models: the page makes text nodes of them."""
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\bon[a-z]+=\""
    for path, (content, _) in FILES.items():
        assert re.findall(banned, content.decode()) == [], path


def test_no_page_without_the_setting(daemon: Daemon, serve: Serve) -> None:
    url = serve(daemon.app())
    assert [httpx.get(url + path).status_code for path in ("/", "/page/main.js")] == [404, 404]
