"""Certificates of cameras and servers: what FFmpeg is told to demand, and what is wrong where it refuses one.

FFmpeg says of any certificate that it refuses what it says of a broken line: input/output error. So one handshake of
Python's own finds out.
"""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from av import error as av_error

from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.schema import StreamOptions

_PORTS = {"rtsps": 322, "https": 443}
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
)
_HANDSHAKE_S = 5.0
# X509_V_ERR_... of openssl/x509_vfy.h
_NOT_YET, _EXPIRED, _NAMES = 9, 10, (62, 63, 64)
_ELSE = "or tls.verify: false"
_NO_BUNDLE = f"this host has no file of authorities to trust; set tls.ca_file to the camera's, {_ELSE}"


def is_tls(url: str) -> bool:
    """Whether a URL asks for TLS."""
    return url.partition("://")[0].lower() in _PORTS


def is_unverified(url: str, options: StreamOptions) -> bool:
    """Whether a URL asks for TLS and nobody looks at the certificate."""
    return is_tls(url) and not options.tls.verify and options.ffmpeg.get("tls_verify", "0") == "0"


def tls_options(url: str, options: StreamOptions) -> dict[str, str]:
    """FFmpeg's options (its documentation of protocols, under "tls"); whom it trusts by default depends on its version.

    Raises:
        SourceError: the system's authorities are to be trusted, and it has none.
    """
    if not is_tls(url):
        return {}
    if not options.tls.verify:
        return {"tls_verify": "0"}
    return {"tls_verify": "1", "ca_file": _authorities(options)}


def certificate_error(url: str, options: StreamOptions, error: BaseException) -> SourceError | None:
    """What is wrong with the certificate, where that may be why a URL could not be opened."""
    answered = isinstance(error, (av_error.HTTPError, av_error.ExitError, av_error.TimeoutError))
    if answered or not (is_tls(url) and options.tls.verify):
        return None
    refusal = _refusal(url, _authorities(options), min(options.open_timeout_s, _HANDSHAKE_S))
    return None if refusal is None else SourceError("certificate", _meaning(refusal))


def system_authorities(environ: Mapping[str, str] = os.environ) -> str | None:
    """The system's file of authorities; FFmpeg's own idea of it is that of the machine on which it was built."""
    paths = ssl.get_default_verify_paths()
    candidates = (environ.get("SSL_CERT_FILE"), paths.cafile, *_BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), None)


def _authorities(options: StreamOptions) -> str:
    authorities = options.tls.ca_file or system_authorities()
    if authorities is None:
        raise SourceError("certificate", _NO_BUNDLE)
    return authorities


def _refusal(url: str, authorities: str, timeout_s: float) -> ssl.SSLCertVerificationError | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme.lower()]
        context = ssl.create_default_context(cafile=authorities)
        with (
            socket.create_connection((host, port), timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error
    except (OSError, ValueError):
        return None


def _meaning(refusal: ssl.SSLCertVerificationError) -> str:
    code, words = refusal.verify_code, refusal.verify_message
    if code == _EXPIRED:
        return f"the camera's certificate has expired; renew it, check both clocks, {_ELSE}"
    if code == _NOT_YET:
        return f"the camera's certificate is not valid yet; check both clocks, {_ELSE}"
    if code in _NAMES:
        return f"the camera's certificate is for another host ({words}); write a name that it holds in `url`, {_ELSE}"
    return f"the camera's certificate is not trusted ({words}); set tls.ca_file to its authority, {_ELSE}"
