"""Answers a server's login challenge: Basic and Digest (RFC 7617, RFC 2617, RFC 7616)."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TOKEN = re.compile(
    r"""
        (?P<name>[\w-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]*))
        | (?P<scheme>[A-Za-z][\w-]*)(?=[\s,]|$)
        | (?P<junk>[^\s,]+)
    """,
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_SPECIAL = re.compile(r'(["\\])')
_ESCAPE = r"\\\1"
_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_STRENGTHS = ("SHA-256", "MD5")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password; neither shows in a repr."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge from a WWW-Authenticate header.

    Attributes:
        scheme: "basic" or "digest"; no other can be answered.
        values: parameters by lower-case name, without quotes.
    """

    scheme: str
    values: dict[str, str]

    @property
    def algorithm(self) -> str:
        """The hash algorithm. Only "MD5" and "SHA-256" can be answered."""
        return self.values.get("algorithm", "MD5").upper().removesuffix("-SESS")

    @property
    def per_session(self) -> bool:
        """Whether the algorithm ends in -sess (RFC 7616 section 3.4.2)."""
        return self.values.get("algorithm", "").upper().endswith("-SESS")

    @property
    def stale(self) -> bool:
        """Whether only the nonce is too old and the password was right."""
        return self.values.get("stale", "").lower() == "true"

    @property
    def kind(self) -> str:
        """The name for messages, such as "Digest SHA-256"."""
        known = {"basic": "Basic", "digest": "Digest"}.get(self.scheme, self.scheme.upper())
        return f"Digest {self.algorithm}" if self.scheme == "digest" else known

    @property
    def protections(self) -> list[str]:
        """The offered qop values; empty if the server knows only RFC 2069."""
        return [one.strip().lower() for one in self.values.get("qop", "").split(",") if one.strip()]

    @property
    def rank(self) -> int | None:
        """The rank by strength, 0 for the strongest; None if the challenge can't be answered."""
        if self.scheme == "basic":
            return len(_STRENGTHS)
        if self.scheme != "digest" or self.algorithm not in _HASHES or "nonce" not in self.values:
            return None
        if self.protections and "auth" not in self.protections:
            return None
        return _STRENGTHS.index(self.algorithm)


class Login:
    """The login on one server: the credentials and the last challenge.

    Args:
        credentials: None if the URL has none.
    """

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._challenge: Challenge | None = None
        self._count = 0
        self._accepted = False
        self._moved = False
        self.unknown: tuple[str, ...] = ()
        """The kinds of login that the server asks for, if none of them is supported."""

    @property
    def given(self) -> bool:
        """Whether the URL holds a user name."""
        return self._credentials is not None

    def header(self, method: str, uri: str) -> str:
        """Return the Authorization header of a request; empty before the first challenge."""
        if self._credentials is None or self._challenge is None:
            return ""
        if self._challenge.scheme == "basic":
            return _basic(self._credentials)
        self._count += 1
        return _digest(self._challenge, self._credentials, self._count, (method, uri))

    def accept(self) -> None:
        """Note that the server accepted the last header."""
        self._accepted = self._challenge is not None

    def moved(self) -> None:
        """Note that the next header goes out on a new connection, where a server may issue a new nonce."""
        self._moved = True

    def challenge(self, values: Sequence[str]) -> bool:
        """Take a refusal's WWW-Authenticate values and return whether to send the request again.

        A retry makes sense if no login was tried yet, or if only the nonce is too old. Some cameras do not
        mark such a nonce as stale.
        """
        known = self._challenge
        asked = parse_challenges(values)
        found = [(one.rank, one) for one in asked if one.rank is not None]
        self.unknown = () if found else tuple(dict.fromkeys(one.kind for one in asked))
        if self._credentials is None or not found:
            return False
        chosen = min(found, key=lambda one: one[0])[1]
        renewed = known is not None and chosen.values.get("nonce") != known.values.get("nonce")
        again = known is None or chosen.stale or (renewed and (self._accepted or self._moved))
        self._challenge, self._count, self._accepted, self._moved = chosen, 0, False, False
        return again


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """Return the challenges in WWW-Authenticate headers. One header may hold several."""
    found: list[Challenge] = []
    for value in values:
        for token in _TOKEN.finditer(value):
            if token["scheme"]:
                found.append(Challenge(token["scheme"].lower(), {}))
            elif token["name"] and found:
                text = token["bare"] if token["quoted"] is None else _ESCAPED.sub(r"\1", token["quoted"])
                found[-1].values.setdefault(token["name"].lower(), text)
    return found


def _basic(credentials: Credentials) -> str:
    return f"Basic {b64encode(_bytes(f'{credentials.user}:{credentials.password}')).decode('ascii')}"


def _digest(challenge: Challenge, credentials: Credentials, count: int, action: tuple[str, str]) -> str:
    """Return the header's value (RFC 7616 section 3.4); `action` is the request's method and URI."""
    values, digest = challenge.values, _hasher(challenge.algorithm)
    realm, nonce, client_nonce = values.get("realm", ""), values["nonce"], secrets.token_hex(8)
    secret = digest(credentials.user, realm, credentials.password)
    if challenge.per_session:
        secret = digest(secret, nonce, client_nonce)
    protects = bool(challenge.protections)
    proof = (f"{count:08x}", client_nonce, "auth") if protects else ()
    response = digest(secret, nonce, *proof, digest(*action))
    parts = {"username": credentials.user, "realm": realm, "nonce": nonce, "uri": action[1]}
    parts["response"] = response
    if "opaque" in values:
        parts["opaque"] = values["opaque"]
    if protects or challenge.per_session:
        parts["cnonce"] = client_nonce
    text = ", ".join(f'{name}="{_SPECIAL.sub(_ESCAPE, value)}"' for name, value in parts.items())
    if "algorithm" in values:
        text += f", algorithm={values['algorithm']}"
    return f"Digest {text}, qop=auth, nc={count:08x}" if protects else f"Digest {text}"


def _hasher(algorithm: str) -> Callable[..., str]:
    def digest(*parts: str) -> str:
        return _HASHES[algorithm](_bytes(":".join(parts)), usedforsecurity=False).hexdigest()

    return digest


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
