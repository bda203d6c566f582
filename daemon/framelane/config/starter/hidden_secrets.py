"""Takes passwords out of addresses, and leaves `${NAME}` in their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.config.address import AddressError, parse_broker, source_kind
from framelane.config.checks.secrets import QUERY_SECRETS
from framelane.core.redact import parameter_spans

if TYPE_CHECKING:
    from collections.abc import Collection

_QUERY = re.compile(rf"(?<=[?&])(?:{'|'.join(sorted(QUERY_SECRETS))})=(?P<value>[^&#]+)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that is not in the file.

    Attributes:
        name: the variable that holds it.
        value: the secret.
        meaning: what it is, for a comment.
    """

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """An address without secrets, and the secrets."""

    text: str
    secrets: tuple[Secret, ...] = ()


def hide_in_source(url: str, stream: str, taken: Collection[str]) -> Hidden:
    """Return a stream's URL with variables in place of its secrets.

    Args:
        url: the URL or path; it may hold variables already.
        stream: the stream's id, after which the variables are named.
        taken: names of variables that mean something else.

    Raises:
        AddressError: it is no address of a source, or its password can't be told from its path.
    """
    kind = source_kind(url)
    if kind not in ("rtsp", "http"):
        return Hidden(url)
    if "@" in url.partition(urlsplit(url).netloc)[2]:
        raise AddressError(
            "has an `@` after the host; if it ends a password, percent-encode `/ ? # @ [ ]` in the password, "
            "else write %40 for it"
        )
    stem = _stem(stream)
    text = url
    secrets: list[Secret] = []
    # From the end to the beginning, so that places stay right.
    for first, end in reversed(_spans(url)):
        value = url[first:end]
        if _VARIABLE.fullmatch(value):
            continue
        name = _free(stem, {*taken, *(secret.name for secret in secrets)})
        secrets.append(Secret(name, value, f"{_meaning(url, first)} of stream `{stream}`"))
        text = f"{text[:first]}${{{name}}}{text[end:]}"
    return Hidden(text, tuple(reversed(secrets)))


def hide_in_broker(url: str) -> tuple[dict[str, str], tuple[Secret, ...]]:
    """Return the `mqtt` section of a broker's URL, and its password if it holds one.

    Raises:
        AddressError: it is no address of a broker.
    """
    address = parse_broker(url)
    section = {"url": address.url}
    if address.username is not None:
        section["username"] = address.username
    if not address.password:
        return section, ()
    if _VARIABLE.fullmatch(address.password):
        return {**section, "password": address.password}, ()
    section["password"] = "${MQTT_PW}"  # noqa: S105 - a variable
    return section, (Secret("MQTT_PW", address.password, "the password of the broker"),)


def variables_in(text: str) -> list[str]:
    """Return the names of all variables without a fallback, each once, in order."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def _spans(url: str) -> list[tuple[int, int]]:
    """Return where secrets are in a URL, in order and apart from each other."""
    spans = [*parameter_spans(url), *(found.span("value") for found in _QUERY.finditer(url))]
    spans += _password_span(url)
    apart: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if apart and first < apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((first, end))
    return apart


def _password_span(url: str) -> list[tuple[int, int]]:
    parts = urlsplit(url)
    if not parts.password:
        return []
    end = url.index(parts.netloc) + len(parts.netloc.rpartition("@")[0])
    return [(end - len(parts.password), end)]


def _meaning(url: str, first: int) -> str:
    in_login = any(first == begin for begin, _ in _password_span(url))
    return "the password" if in_login else "what this replaces in the URL"


def _stem(stream: str) -> str:
    name = re.sub(r"[^A-Z0-9]+", "_", stream.upper()).strip("_")
    return f"{name if name[:1].isalpha() else f'CAM_{name}'}_PW"


def _free(stem: str, taken: Collection[str]) -> str:
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}{number}"
    return name
