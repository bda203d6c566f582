"""Removes credentials from every text that leaves the process: logs, reasons, messages and pages."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from collections.abc import MutableMapping

MASK = "***"
SHORTEST_SECRET = 4
_SHORTEST_PLAIN = 8
_DEEPEST = 8

# `user:password@` of a URL. The password extends to the last `@` before a slash. Without such an `@` it may
# contain slashes, unless it looks like a port before a path.
_USERINFO = re.compile(
    r"(?P<head>[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@]*):"
    r"(?:[^\s/]*@|(?!\d+[/?#])(?:(?!://)\S)*?@)"
)
# The same in a URL that is percent-encoded as a whole, as in a query parameter of another URL.
_ENCODED_USERINFO = re.compile(
    r"(?P<head>%3A%2F%2F(?:(?!%3A|%40|%2F)[^\s&])*)%3A(?:(?!%2F%2F)[^\s&])*?%40(?!(?:(?!%2F)[^\s&])*%40)",
    re.IGNORECASE,
)
# `password=...` in queries, FFmpeg options and paths (XMeye: `/user=a_password=b_channel=1`).
_PARAMETER = re.compile(
    r"(?P<head>(?<![A-Za-z])(?:password|passwd|passphrase|pass|pwd|loginpas"
    r"|(?:access_|auth_|api_|id_)?token|secret|api_?key|signature|sig|auth)(?:=|%3D))[^\s&#\"'<>,;)\]}]+",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(r"(?P<head>\b(?:Basic|Bearer)\s+)[A-Za-z0-9+/_.~=-]{4,}", re.IGNORECASE)
_SUSPECTS = ("=", "@", "%3D", "%3d", "%40", "asic ", "earer ", "ASIC ", "EARER ")

_lock = threading.Lock()
_plain: tuple[str, ...] = ()
_words: tuple[tuple[str, re.Pattern[str]], ...] = ()


def register_secret(value: str) -> None:
    """Mask this value wherever it appears from now on, percent-encoded or not.

    Values shorter than 4 characters are masked only by the URL patterns, because masking them everywhere
    would make texts unreadable. Values of 4 to 7 characters are masked only as whole words, for the same
    reason.
    """
    global _plain, _words  # noqa: PLW0603 - one registry per process: a secret is secret everywhere in it
    forms = {value, unquote(value), quote(value, safe=""), quote(value), quote_plus(value)}
    with _lock:
        words = dict(_words)
        plain = set(_plain)
        for form in forms:
            if len(form) >= _SHORTEST_PLAIN:
                plain.add(form)
            elif len(form) >= SHORTEST_SECRET:
                words[form] = re.compile(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])")
        # Readers take no lock: they see the old tuple or the new one. Longest first, so that no part remains.
        _plain = tuple(sorted(plain, key=len, reverse=True))
        _words = tuple(sorted(words.items(), key=lambda item: len(item[0]), reverse=True))


def forget_secrets() -> None:
    """Clear the registry, so that tests don't see each other's secrets."""
    global _plain, _words
    with _lock:
        _plain, _words = (), ()


def redact(text: str) -> str:
    """Return the text with each password, token and registered secret replaced by `***`."""
    for secret in _plain:
        if secret in text:
            text = text.replace(secret, MASK)
    for secret, pattern in _words:
        if secret in text:
            text = pattern.sub(MASK, text)
    if not any(suspect in text for suspect in _SUSPECTS):
        return text
    text = _USERINFO.sub(rf"\g<head>:{MASK}@", text)
    text = _ENCODED_USERINFO.sub(rf"\g<head>%3A{MASK}%40", text)
    text = _PARAMETER.sub(rf"\g<head>{MASK}", text)
    return _AUTHORIZATION.sub(rf"\g<head>{MASK}", text)


def parameter_spans(text: str) -> list[tuple[int, int]]:
    """Return where the values of `password=...` and its like begin and end."""
    return [(found.end("head"), found.end()) for found in _PARAMETER.finditer(text)]


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact all values; a structlog processor between `format_exc_info` and the renderer."""
    for key, value in event.items():
        # Keys with `_` are structlog's own, such as the standard library's record.
        if not key.startswith("_"):
            event[key] = _redact_value(value, _DEEPEST)
    return event


def _redact_value(value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever is logged
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return redact(f"{type(value).__name__}: {value}")
    if isinstance(value, dict) and depth:
        return {key: _redact_value(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_redact_value(item, depth - 1) for item in value]
    return redact(str(value))
