"""Downloads from a real web server: interruptions, versions, refusals, redirects, proxies, certificates."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.models.catalog.file_server import CONTENT, SHA256, FileServer
from tests.neighbours.certificates import make_certificates

from framelane.models.catalog.download import Download
from framelane.models.catalog.errors import FetchError
from framelane.models.catalog.partial_file import PartialFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Run:
    """One run of a download into `m.onnx.part`, with all waits and all progress noted."""

    def __init__(self, folder: Path, url: str) -> None:
        self.target = folder / "m.onnx"
        self.part = folder / "m.onnx.part"
        self.waits: list[float] = []
        self.told: list[tuple[int, int]] = []
        self._download = Download(url, len(CONTENT), lambda *told: self.told.append(told), self.waits.append)

    def __call__(self) -> bytes:
        with PartialFile(self.target, SHA256) as part:
            self._download.into(part)
        return self.part.read_bytes()

    def error(self) -> str:
        with pytest.raises(FetchError) as caught:
            self()
        return str(caught.value)


def ranges(server: FileServer) -> list[tuple[str | None, str | None]]:
    return [(asked.headers.get("range"), asked.headers.get("if-range")) for asked in server.asked]


def test_the_whole_file_comes_in_one_request(server: FileServer, tmp_path: Path) -> None:
    run = Run(tmp_path, server.url)
    assert run() == CONTENT
    assert ranges(server) == [(None, None)]
    assert run.waits == []
    assert run.told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in run.told] == sorted(done for done, _ in run.told)


def test_an_interrupted_download_goes_on_where_it_stopped(server: FileServer, tmp_path: Path) -> None:
    server.does.cuts = [100_000, 50_000]
    run = Run(tmp_path, server.url)
    assert run() == CONTENT
    assert ranges(server) == [(None, None), ("bytes=100000-", '"1"'), ("bytes=150000-", '"1"')]
    assert run.waits == [1.0, 1.0]


@pytest.mark.parametrize(("etag", "modified", "validator"), [
    ('"1"', "Mon, 01 Jun 2026 10:00:00 GMT", '"1"'),
    ("", "Mon, 01 Jun 2026 10:00:00 GMT", "Mon, 01 Jun 2026 10:00:00 GMT"),
    ('W/"1"', "Mon, 01 Jun 2026 10:00:00 GMT", "Mon, 01 Jun 2026 10:00:00 GMT"),
])  # fmt: skip
def test_a_later_run_goes_on_with_what_an_earlier_one_left(
    server: FileServer, tmp_path: Path, etag: str, modified: str, validator: str
) -> None:
    server.does.etag, server.does.modified = etag, modified
    server.does.cuts = [100_000]
    server.does.answers = [None, 503, 503, 503, 503]
    message = Run(tmp_path, server.url).error()
    assert message == (
        f"can't download {server.url}: the server answers 503 Service Unavailable; "
        "100000 of 262144 bytes are kept; run the command again to go on"
    )
    server.asked.clear()
    assert Run(tmp_path, server.url)() == CONTENT
    assert ranges(server) == [("bytes=100000-", validator)]


@pytest.mark.parametrize(("etag", "modified"), [("", ""), ('W/"1"', "")])
def test_nothing_is_joined_that_may_be_of_two_versions(
    server: FileServer, tmp_path: Path, etag: str, modified: str
) -> None:
    server.does.etag, server.does.modified, server.does.cuts = etag, modified, [100_000]
    assert Run(tmp_path, server.url)() == CONTENT
    assert ranges(server) == [(None, None), (None, None)]


def test_a_new_version_on_the_server_is_downloaded_from_its_beginning(
    server: FileServer, tmp_path: Path
) -> None:
    server.does.content, server.does.cuts = CONTENT[::-1], [100_000]
    server.does.answers = [None, 404]
    Run(tmp_path, server.url).error()
    server.does.content, server.does.etag = CONTENT, '"2"'
    assert Run(tmp_path, server.url)() == CONTENT
    assert ranges(server)[-1] == ("bytes=100000-", '"1"')


def test_a_server_without_ranges_sends_all_of_it_again(server: FileServer, tmp_path: Path) -> None:
    server.does.ranges, server.does.cuts = False, [100_000]
    assert Run(tmp_path, server.url)() == CONTENT
    assert len(server.asked) == 2


def test_a_part_that_the_server_lacks_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    server.does.cuts, server.does.checks_range = [200_000], False
    server.does.answers = [None, 404]
    Run(tmp_path, server.url).error()
    server.does.answers = [416]
    assert Run(tmp_path, server.url)() == CONTENT
    assert ranges(server)[-1] == (None, None)


def test_a_whole_partial_file_needs_no_request(server: FileServer, tmp_path: Path) -> None:
    Run(tmp_path, server.url)()
    server.asked.clear()
    assert Run(tmp_path, server.url)() == CONTENT
    assert server.asked == []


def test_a_partial_file_of_another_model_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    with PartialFile(tmp_path / "m.onnx", "0" * 64) as part:
        part.restart('"1"')
        part.write(b"another")
    assert Run(tmp_path, server.url)() == CONTENT
    assert ranges(server) == [(None, None)]


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"sha256": 1}', b"\xff\x00"])
def test_a_partial_file_without_a_sound_note_is_thrown_away(
    server: FileServer, tmp_path: Path, note: bytes
) -> None:
    (tmp_path / "m.onnx.part").write_bytes(b"x" * 1000)
    (tmp_path / "m.onnx.part.json").write_bytes(note)
    assert Run(tmp_path, server.url)() == CONTENT
    assert ranges(server) == [(None, None)]


def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    with PartialFile(tmp_path / "m.onnx", SHA256) as part:
        part.restart('"1"')
        part.write(CONTENT + b"more")
    assert Run(tmp_path, server.url)() == CONTENT


def test_busy_servers_are_asked_again_after_growing_waits(server: FileServer, tmp_path: Path) -> None:
    server.does.answers = [503, 429, 502]
    run = Run(tmp_path, server.url)
    assert run() == CONTENT
    assert run.waits == [1.0, 2.0, 4.0]


def test_a_server_that_breaks_off_at_the_same_place_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.does.ranges, server.does.cuts = False, [5000] * 20
    run = Run(tmp_path, server.url)
    assert run.error() == (
        f"can't download {server.url}: the connection ended early; "
        "5000 of 262144 bytes are kept; run the command again to go on"
    )
    assert run.waits == [1.0, 2.0, 4.0, 8.0]


LOGIN_PAGE = b"<html>please log in</html>"
OTHER_SIZE = (
    "the server has {} bytes of {} there, not the 262144 of the catalog; "
    "check the address, and what a proxy makes of it"
)
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"answers": [404]}, "there is no such file; name a mirror of it with --catalog (404)"),
    ({"answers": [403]}, "the server refuses access; check the login and the address (403)"),
    ({"answers": [401]}, "the server wants a login; write user:password@ into the catalog's `url`, with ${NAME} for the password (401)"),
    ({"answers": [407]}, "the proxy wants a login; write user:password@ into the variable https_proxy (407)"),
    ({"answers": [418]}, "the server answers I'm a Teapot (418)"),
    ({"content": LOGIN_PAGE, "headers": {"Content-Type": "text/html"}}, OTHER_SIZE.format(26, "text/html")),
    ({"content": CONTENT + b"more"}, OTHER_SIZE.format(262_148, "text/plain")),
]  # fmt: skip


@pytest.mark.parametrize(("behavior", "message"), REFUSALS)
def test_a_refusal_says_what_to_do(
    server: FileServer, tmp_path: Path, behavior: dict[str, Any], message: str
) -> None:
    for name, value in behavior.items():
        setattr(server.does, name, value)
    run = Run(tmp_path, server.url)
    assert run.error() == f"can't download {server.url}: {message}"
    assert (run.waits, len(server.asked)) == ([], 1)
    assert list(tmp_path.iterdir()) == []


def test_another_part_than_the_one_asked_for_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.does.cuts, server.does.shift = [100_000], 7
    assert Run(tmp_path, server.url).error() == (
        f"can't download {server.url}: the server sent another part (bytes 100007-262143/262144)"
    )


def test_no_more_than_the_size_is_received(server: FileServer, tmp_path: Path) -> None:
    server.does.content, server.does.says_length = CONTENT * 3, False
    assert Run(tmp_path, server.url)() == CONTENT


def test_an_address_where_nobody_answers_is_given_up_at_once(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/m.onnx"
        run = Run(tmp_path, url)
        assert run.error() == (
            f"can't download {url}: Connection refused; is there a network, or a proxy to set in https_proxy?"
        )
    assert run.waits == []


def test_an_unknown_host_is_named_as_such(tmp_path: Path) -> None:
    message = Run(tmp_path, "http://models.invalid/m.onnx").error()
    assert message.startswith("can't download http://models.invalid/m.onnx: the host name is not found (")


def test_an_answer_that_is_not_http_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = Run(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}/m.onnx")

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 ftp ready\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        message = run.error()
        thread.join()
    assert "can't download http://127.0.0.1" in message


def test_redirects_are_followed_with_the_range(server: FileServer, tmp_path: Path) -> None:
    with FileServer() as front:
        front.does.redirects = {"/m.onnx": f"{server.url}?signature=abc"}
        server.does.cuts = [100_000]
        assert Run(tmp_path, front.url)() == CONTENT
        assert [asked.path for asked in server.asked] == ["/m.onnx?signature=abc"] * 2
        assert ranges(server)[1] == ("bytes=100000-", '"1"')


def test_a_circle_of_redirects_ends(tmp_path: Path) -> None:
    with FileServer() as front:
        front.does.redirects = {"/m.onnx": front.url}
        assert "infinite loop" in Run(tmp_path, front.url).error()


def test_a_redirect_to_a_file_of_this_host_is_not_followed(tmp_path: Path) -> None:
    with FileServer() as front:
        front.does.redirects = {"/m.onnx": "file:///etc/passwd"}
        assert "file:" in Run(tmp_path, front.url).error()
        front.does.redirects = {"/m.onnx": "ftp://127.0.0.1/m.onnx"}
        assert "which is not followed" in Run(tmp_path, front.url).error()


def test_a_login_goes_to_its_own_host_alone(server: FileServer, tmp_path: Path) -> None:
    login = "Basic dXNlcjpwQHNzL3dvcmQ="  # user:p@ss/word
    with FileServer(CONTENT) as front:
        front.does.login = server.does.login = login
        url = front.url.replace("http://", "http://user:p%40ss%2Fword@")
        assert Run(tmp_path, url)() == CONTENT
        front.does.redirects = {"/m.onnx": server.url}
        (tmp_path / "m.onnx.part").unlink()
        message = Run(tmp_path, url).error()
        assert "authorization" not in server.asked[-1].headers
        assert "the server wants a login" in message
        assert "p%40ss" not in message
        front.does.redirects = {"/m.onnx": f"http://{front.host}/moved.onnx"}
        assert Run(tmp_path, url)() == CONTENT


def test_a_proxy_of_the_environment_is_used(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://proxyuser:proxypass@{server.host}")
    assert Run(tmp_path, "http://models.invalid/m.onnx")() == CONTENT
    asked = server.asked[0]
    assert (asked.path, asked.headers["host"]) == ("http://models.invalid/m.onnx", "models.invalid")
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "models.invalid")
    (tmp_path / "m.onnx.part").unlink()
    assert "the host name is not found" in Run(tmp_path, "http://models.invalid/m.onnx").error()


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tls").mkdir()
    made = make_certificates(tmp_path / "tls")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with FileServer(CONTENT, made.context("good")) as server:
        message = Run(tmp_path, server.url).error()
        assert "the certificate is not trusted (unable to get local issuer certificate)" in message
        monkeypatch.setenv("SSL_CERT_FILE", made.file("ca.crt"))
        assert Run(tmp_path, server.url)() == CONTENT
        with FileServer(CONTENT) as plain:
            server.does.redirects = {"/m.onnx": plain.url}
            (tmp_path / "m.onnx.part").unlink()
            assert (
                "redirects from https:// to http://127.0.0.1, which is not followed"
                in Run(tmp_path, server.url).error()
            )
            assert plain.asked == []
    with FileServer(CONTENT, made.context("name")) as server:
        assert "Hostname mismatch" in Run(tmp_path, server.url).error()
