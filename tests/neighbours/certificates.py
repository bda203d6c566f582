"""Certificates that openssl makes: those of an authority, and what is wrong with others."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
HERE = "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost"
ELSEWHERE = "subjectAltName=DNS:other.example"


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


def make_certificates(folder: Path) -> Makings:
    """Certificates in a folder; skips the test if there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")

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
