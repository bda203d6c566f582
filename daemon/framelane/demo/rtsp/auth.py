"""Basic and Digest authentication of RTSP requests (RFC 2617). FFmpeg 8.1 does not support SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import Literal

AuthScheme = Literal["basic", "digest"]
REALM = "framelane-demo"
_PARAMETER = re.compile(r'([\w-]+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Credentials:
    """The login that a client must present; the password never shows in a repr."""

    username: str
    password: str = field(repr=False)
    scheme: AuthScheme = "digest"

    def challenge(self, nonce: str) -> str:
        """Return the WWW-Authenticate value that asks for this login."""
        if self.scheme == "basic":
            return f'Basic realm="{REALM}"'
        # Without qop, like most cameras.
        return f'Digest realm="{REALM}", nonce="{nonce}"'

    def accepts(self, authorization: str, method: str, uri: str, nonce: str) -> bool:
        """Return whether an Authorization value answers the challenge made with `nonce`."""
        scheme, _, value = authorization.partition(" ")
        if self.scheme == "basic":
            return scheme.lower() == "basic" and self._accepts_basic(value.strip())
        return scheme.lower() == "digest" and self._accepts_digest(value, method, uri, nonce)

    def _accepts_basic(self, value: str) -> bool:
        try:
            given = b64decode(value, validate=True)
        except (Base64Error, ValueError):
            return False
        return hmac.compare_digest(given, f"{self.username}:{self.password}".encode())

    def _accepts_digest(self, value: str, method: str, uri: str, nonce: str) -> bool:
        given = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _PARAMETER.finditer(value)}
        expected_fields = {"username": self.username, "realm": REALM, "nonce": nonce, "uri": uri}
        if any(given.get(name) != wanted for name, wanted in expected_fields.items()):
            return False
        expected = self._response(given, method, uri, nonce)
        return hmac.compare_digest(expected.encode(), given.get("response", "").encode())

    def _response(self, given: dict[str, str], method: str, uri: str, nonce: str) -> str:
        secret = _md5(f"{self.username}:{REALM}:{self.password}")
        action = _md5(f"{method}:{uri}")
        proof = (given.get("nc", ""), given.get("cnonce", ""), given["qop"]) if "qop" in given else ()
        return _md5(":".join((secret, nonce, *proof, action)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
