#!/usr/bin/env python3
"""Makes the passwords that compose.yaml needs, in the folder `secrets`; what is there already stays.

`lobby_password` is your camera's: write it into the file yourself.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"
ROUNDS = 101  # as mosquitto_passwd does


def main(folder: Path = FOLDER) -> None:
    """Write what is missing. The folder is the owner's alone; the files are read by the containers' users."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("mqtt_password", "metrics_token", "grafana_password"):
        write(folder / name, secrets.token_urlsafe(32))
    write(folder / "lobby_password", "change-me")
    password = (folder / "mqtt_password").read_text()
    write(folder / "mosquitto_passwords", f"framelane:{mosquitto_hash(password)}\n")


def write(path: Path, text: str) -> None:
    """Write a file that is not there yet."""
    if path.exists():
        return
    path.write_text(text)
    path.chmod(0o444)
    print(f"written: {path}")


def mosquitto_hash(password: str) -> str:
    """A password as the broker's file holds it: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


if __name__ == "__main__":
    main()
