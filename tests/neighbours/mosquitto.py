"""Runs a real mosquitto on loopback for tests: plain, with passwords, with TLS, restartable on its port."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MISSING = "mosquitto is not installed: apt-get install mosquitto"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
# Debian keeps daemons in sbin, which is not on every user's PATH.
_MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
_MOSQUITTO_PASSWD = shutil.which("mosquitto_passwd")


@dataclass(frozen=True)
class Certificates:
    """PEM files made for one test run: a CA, and a server's and a client's certificate that it signed."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


@dataclass(frozen=True)
class MosquittoOptions:
    """How the broker is set up; `log` is one more kind of message that it logs."""

    users: tuple[tuple[str, str], ...] = ()
    certificates: Certificates | None = None
    require_client_certificate: bool = False
    persistence: bool = False
    lossless: bool = False
    """Hold whatever a slow subscriber leaves behind, where mosquitto drops all beyond 1000 messages."""
    log: str | None = None
    writable: str | None = None
    """The only topic that clients may write to."""
    largest: int | None = None
    """Bytes of a packet; over a larger one it closes the connection."""
    retain: bool = True
    """Whether it keeps retained messages; else it refuses a Will that is retained."""
    most_qos: int = 2


def require_mosquitto() -> None:
    """Skip the calling test where mosquitto is missing."""
    if _MOSQUITTO is None:
        pytest.skip(MISSING)


class Mosquitto:
    """One broker process: `with Mosquitto(tmp_path) as broker: broker.port`."""

    def __init__(self, folder: Path, options: MosquittoOptions | None = None) -> None:
        require_mosquitto()
        self.options = options or MosquittoOptions()
        self.port = _free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mosquitto.conf").write_text("\n".join(self._settings()) + "\n")

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`mqtt://` or, with TLS, `mqtts://` (the certificate names localhost and 127.0.0.1)."""
        scheme = "mqtt" if self.options.certificates is None else "mqtts"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id while running."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """What the broker has written so far."""
        return (self._folder / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Start on the same port as ever and wait until it accepts connections."""
        if self._process is not None:
            return
        assert _MOSQUITTO is not None
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        self._wait_ready()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that is not enough; does nothing when stopped."""
        if self._process is not None:
            self._process.terminate()
            self._reap()

    def kill(self) -> None:
        """SIGKILL: connections break, nothing is saved."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def _reap(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)

    def _wait_ready(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            assert self._process is not None
            if self._process.poll() is not None:
                self._process = None
                pytest.fail(f"mosquitto ended at once:\n{self.log}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            time.sleep(0.02)
        self.kill()
        pytest.fail(f"mosquitto does not listen after {START_TIMEOUT_S} s:\n{self.log}")

    def _settings(self) -> list[str]:
        lines = [
            "user root",  # dropping to user mosquitto would lose the test's private folder
            "per_listener_settings false",
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if self.options.users else 'true'}",
            "set_tcp_nodelay true",
        ]
        if self.options.users:
            lines.append(f"password_file {self._write_passwords()}")
        if self.options.lossless:
            lines += ["max_queued_messages 0", "max_inflight_messages 1000"]
        if self.options.writable:
            rules = self._folder / "rules"
            rules.write_text(f"topic write {self.options.writable}\n")
            rules.chmod(0o600)
            lines.append(f"acl_file {rules}")
        if self.options.largest:
            lines.append(f"max_packet_size {self.options.largest}")
        if not self.options.retain:
            lines.append("retain_available false")
        if self.options.most_qos < 2:
            lines.append(f"max_qos {self.options.most_qos}")
        if self.options.log:
            lines += ["log_type error", "log_type warning", "log_type notice", "log_type information"]
            lines.append(f"log_type {self.options.log}")
        if self.options.persistence:
            lines += ["persistence true", f"persistence_location {self._folder}/"]
        return lines + self._tls_settings()

    def _tls_settings(self) -> list[str]:
        certificates = self.options.certificates
        if certificates is None:
            return []
        return [
            f"cafile {certificates.ca}",
            f"certfile {certificates.server_cert}",
            f"keyfile {certificates.server_key}",
            f"require_certificate {str(self.options.require_client_certificate).lower()}",
        ]

    def _write_passwords(self) -> Path:
        path = self._folder / "passwords"
        path.touch(mode=0o600)
        if _MOSQUITTO_PASSWD is None:
            pytest.skip("mosquitto_passwd is not installed: apt-get install mosquitto")
        for name, password in self.options.users:
            command = [_MOSQUITTO_PASSWD, "-b", str(path), name, password]
            subprocess.run(command, check=True, capture_output=True)
        return path


def make_certificates(folder: Path) -> Certificates:
    """Make a CA and a server's and a client's certificate with the openssl command (ECDSA, valid a week)."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        folder, *_new_key("ca"), "-x509", "-days", "7", "-subj", "/CN=Framelane test CA", "-out", "ca.crt"
    )
    for name, subject in (("server", "/CN=localhost"), ("client", "/CN=framelane-test-client")):
        _openssl(folder, *_new_key(name), "-subj", subject, "-out", f"{name}.csr")
        (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-days", "7", "-out", f"{name}.crt")
    return Certificates(
        ca=folder / "ca.crt",
        server_cert=folder / "server.crt",
        server_key=folder / "server.key",
        client_cert=folder / "client.crt",
        client_key=folder / "client.key",
    )


def _new_key(name: str) -> tuple[str, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    return ("req", *curve, "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
