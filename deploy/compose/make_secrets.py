#!/usr/bin/env python3
"""Creates the passwords that compose.yaml needs, in the folder `secrets`; existing files stay.

Write your camera's password into `lobby_password` yourself.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"
# As mosquitto_passwd does.
ROUNDS = 101


def main(folder: Path = FOLDER) -> None:
    """Write missing files. Only the owner may enter the folder; the containers' users must read the files."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("mqtt_password", "metrics_token", "grafana_password"):
        write(folder / name, secrets.token_urlsafe(32))
    write(folder / "lobby_password", "change-me")
    password = (folder / "mqtt_password").read_text()
    write(folder / "mosquitto_passwords", f"framelane:{mosquitto_hash(password)}\n")


def write(path: Path, text: str) -> None:
    """Write a file unless it exists."""
    if path.exists():
        return
    path.write_text(text, encoding="utf-8")
    path.chmod(0o444)
    print(f"written: {path}")


def mosquitto_hash(password: str) -> str:
    """Return a password hash as in the broker's file: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


if __name__ == "__main__":
    main()
