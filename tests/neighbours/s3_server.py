"""Runs Versity's S3 gateway on loopback for tests: it checks signatures, and may speak TLS."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.daemon import free_port

if TYPE_CHECKING:
    from tests.neighbours.certificates import Makings

PROGRAM = Path(__file__).parents[2] / ".venv" / "s3" / "versitygw"
MISSING = "versitygw is not installed: scripts/install_test_neighbours.sh builds it with Go"
ACCESS_KEY = "framelane-test"
SECRET_KEY = "s3-secret-4711-0815"
BUCKET = "cams"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


class S3Server:
    """One gateway whose objects are files: `with S3Server(tmp_path) as server: server.url`."""

    def __init__(self, folder: Path, certificates: Makings | None = None, certificate: str = "good") -> None:
        if not PROGRAM.is_file():
            pytest.skip(MISSING)
        self.port = free_port()
        self._root, self._log = folder / "root", folder / "s3.log"
        self._certificates = certificates
        self._certificate = certificate
        self._process: subprocess.Popen[bytes] | None = None
        self._root.mkdir(parents=True)
        self.make_bucket(BUCKET)

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its address; the certificate names 127.0.0.1."""
        return f"{'http' if self._certificates is None else 'https'}://127.0.0.1:{self.port}"

    def make_bucket(self, name: str) -> None:
        """Create a bucket, also while it is away."""
        (self._root / name).mkdir()

    def objects(self, bucket: str = BUCKET) -> dict[str, bytes]:
        """The content of a bucket, by name."""
        folder = self._root / bucket
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        }

    def block(self, key: str, bucket: str = BUCKET) -> None:
        """Make one name impossible: something lies below it."""
        (self._root / bucket / key).mkdir(parents=True)
        (self._root / bucket / key / "below").touch()

    def settings(self, **more: Any) -> dict[str, Any]:
        """`media.s3` for this server."""
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        return {"endpoint": self.url, "bucket": BUCKET, **keys, **more}

    def start(self) -> None:
        """Start on the same port as ever, and wait until it accepts connections."""
        tls: list[str] = []
        if self._certificates is not None:
            name = self._certificate
            files = self._certificates
            tls = ["--cert", files.file(f"{name}.crt"), "--key", files.file(f"{name}.key")]
        command = [str(PROGRAM), "--port", f"127.0.0.1:{self.port}", "--keep-alive", *tls]
        keys = {"ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": SECRET_KEY}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "posix", str(self._root)], stdout=log, stderr=log, env={**os.environ, **keys}
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline_s, f"versitygw does not listen:\n{self._log.read_text()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once; does nothing when it is away."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
