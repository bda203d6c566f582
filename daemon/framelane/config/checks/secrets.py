"""Reads secrets from their files, registers them for redaction and finds those in clear text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

from framelane.config.address import credentials
from framelane.config.keypath import KeyPath, Node, Problem, at
from framelane.config.sections.section import Section
from framelane.core.redact import register_secret
from framelane.core.text_files import decode_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.sections.schema import Config

_Section = TypeVar("_Section", bound=Section)
# Path of the section, secret, and the key that names the secret's file.
SECRETS: tuple[tuple[KeyPath, str, str], ...] = (
    (("mqtt",), "password", "password_file"),
    (("http",), "token", "token_file"),
    (("media", "s3"), "secret_key", "secret_key_file"),
)
_MOST_BYTES = 65_536
# Parameters of a stream's URL whose values are secrets.
QUERY_SECRETS = {
    "password",
    "passwd",
    "pass",
    "pwd",
    "token",
    "access_token",
    "secret",
    "key",
    "auth",
    "loginpas",
}
# FFmpeg input options; each line of `headers` and each cookie is a secret by itself.
_FFMPEG_SECRETS = {"headers", "cookies", "password", "passphrase", "key", "cryptokey", "decryption_key"}


def read_secrets(config: Config) -> tuple[Config, list[Problem]]:
    """Return the configuration with each secret read from its file, such as `password` from `password_file`."""
    problems: list[Problem] = []
    for path, secret, file_key in SECRETS:
        section = _at(config, path)
        given = getattr(section, secret, None)
        if given is not None and not given.get_secret_value().strip():
            problems.append(Problem((*path, secret), "is empty; remove it"))
        file = getattr(section, file_key, None)
        if file is None:
            continue
        if given is not None:
            problems.append(Problem((*path, file_key), f"both `{secret}` and `{file_key}` are set; keep one"))
            continue
        try:
            value = read_secret(Path(file))
        except OSError as error:
            problems.append(Problem((*path, file_key), f"can't read {file}: {error.strerror or error}"))
        except ValueError as error:
            problems.append(Problem((*path, file_key), f"{file} {error}"))
        else:
            config = _with(config, path, {secret: SecretStr(value)})
    return config, problems


def _at(config: Config, path: KeyPath) -> object:
    """Return the section at this path; None if it or one around it is null."""
    section: object = config
    for name in path:
        section = getattr(section, str(name), None)
    return section


def _with(section: _Section, path: KeyPath, update: Mapping[str, object]) -> _Section:
    """Return a section with changed values in the section at this path below it."""
    if not path:
        return section.model_copy(update=update)
    name = str(path[0])
    return section.model_copy(update={name: _with(getattr(section, name), path[1:], update)})


def read_secret(path: Path) -> str:
    """Return a file's text without the line end.

    Raises:
        OSError: The file can't be read.
        ValueError: The file is empty, too large or not text; the message continues the file's name.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("is too large for a secret")
    try:
        value = decode_text(content).rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not value:
        raise ValueError("is empty")
    return value


def register_secrets(config: Config) -> None:
    """Register every password and token of the configuration with `redact`."""
    if config.mqtt is not None:
        _register(config.mqtt.password)
        register_secret(unquote(credentials(config.mqtt.url)[1]))
    _register(config.http.token)
    if config.media.s3 is not None:
        _register(config.media.s3.secret_key)
    for stream in config.streams:
        for option in _FFMPEG_SECRETS & stream.ffmpeg.keys():
            _register_option(stream.ffmpeg[option])
        for url in stream.urls:
            _register_address(url)


def _register_address(url: str) -> None:
    if "://" not in url:
        return
    register_secret(credentials(url)[1])
    for name, value in parse_qsl(url.partition("?")[2].partition("#")[0]):
        if name.lower() in QUERY_SECRETS:
            register_secret(value)


def _register(secret: SecretStr | None) -> None:
    if secret is not None:
        register_secret(secret.get_secret_value())


def _register_option(value: str) -> None:
    register_secret(value)
    for line in value.splitlines():
        register_secret(line.strip())
        register_secret(line.partition(":")[2].strip())


def clear_text_secrets(written: Node) -> list[KeyPath]:
    """Return where the file itself contains a secret, without `${NAME}` or a `*_file` key."""
    paths: list[KeyPath] = [(*path, secret) for path, secret, _ in SECRETS]
    found = [path for path in paths if _is_clear(at(written, path))]
    urls: list[KeyPath] = [("mqtt", "url")]
    streams = at(written, ("streams",))
    for index in range(len(streams) if isinstance(streams, list) else 0):
        urls += [("streams", index, "url"), ("streams", index, "preview_url")]
    for path in urls:
        url = at(written, path)
        if isinstance(url, str) and "://" in url and _is_clear(credentials(url)[1]):
            found.append(path)
    return found


def _is_clear(value: Node) -> bool:
    return isinstance(value, str) and bool(value) and "${" not in value
