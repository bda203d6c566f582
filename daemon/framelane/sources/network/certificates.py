"""Certificates of cameras and servers: what FFmpeg has to require, and why a certificate was refused.

FFmpeg reports any refused certificate as an input/output error, like a broken connection. So a handshake of
Python's own finds the reason. Framelane's own RTSP reader does the handshake itself and knows at once.
"""

from __future__ import annotations

import os
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from av import error as av_error

from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.sections.stream import StreamOptions

_PORTS = {"rtsps": 322, "https": 443}
_BUNDLES = (
    # Debian, Alpine.
    "/etc/ssl/certs/ca-certificates.crt",
    # Fedora.
    "/etc/pki/tls/certs/ca-bundle.crt",
    # openSUSE.
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_HANDSHAKE_S = 5.0
# SSL_OP_LEGACY_SERVER_CONNECT, openssl/ssl.h. The ssl module has this constant from Python 3.12 on.
_LEGACY_SERVERS = 4
# X509_V_ERR_... of openssl/x509_vfy.h
_NOT_YET, _EXPIRED, _NAMES = 9, 10, (62, 63, 64)
UNVERIFIED = (
    "anybody on the way can pass for the camera; set tls.verify: true, and tls.ca_file to its authority"
)
_ELSE = "or tls.verify: false"
_NO_BUNDLE = f"this host has no file of authorities to trust; set tls.ca_file to the camera's, {_ELSE}"


def is_tls(url: str) -> bool:
    """Return whether a URL asks for TLS."""
    return url.partition("://")[0].lower() in _PORTS


def is_unverified(url: str, options: StreamOptions) -> bool:
    """Return whether a URL asks for TLS but the certificate is not verified."""
    return is_tls(url) and not options.tls.verify and options.ffmpeg.get("tls_verify", "0") == "0"


def tls_options(url: str, options: StreamOptions) -> dict[str, str]:
    """Return FFmpeg's TLS options (see "tls" in its protocol documentation).

    Its default trust depends on its version.

    Raises:
        SourceError: the system's authorities are needed, but this host has none.
    """
    if not is_tls(url):
        return {}
    if not options.tls.verify:
        return {"tls_verify": "0"}
    return {"tls_verify": "1", "ca_file": authorities(options)}


def certificate_error(url: str, options: StreamOptions, error: BaseException) -> SourceError | None:
    """Return what is wrong with the certificate, if that may be why a URL could not be opened."""
    answered = isinstance(error, (av_error.HTTPError, av_error.ExitError, av_error.TimeoutError))
    if answered or not (is_tls(url) and options.tls.verify):
        return None
    refusal = _refusal(url, authorities(options), min(options.open_timeout_s, _HANDSHAKE_S))
    return None if refusal is None else refusal_error(refusal)


def refusal_error(refusal: ssl.SSLCertVerificationError) -> SourceError:
    """Translate a refused certificate into a SourceError."""
    return SourceError("certificate", _meaning(refusal))


def tls_context(options: StreamOptions) -> ssl.SSLContext:
    """Return the TLS context for our own connections; those with the same requirements share it.

    Raises:
        SourceError: the trusted authorities can't be read, or this host has none.
    """
    if not options.tls.verify:
        return _trusting_context()
    trusted = authorities(options)
    try:
        return _verifying_context(trusted, Path(trusted).stat().st_mtime_ns)
    except OSError as error:
        # Includes SSLError.
        words = error.strerror or type(error).__name__
        raise SourceError("certificate", f"tls.ca_file can't be read ({words}): {trusted}") from None


def system_authorities(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the system's file of authorities.

    FFmpeg's own default comes from the machine on which it was built.
    """
    paths = ssl.get_default_verify_paths()
    candidates = (environ.get("SSL_CERT_FILE"), paths.cafile, *_BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), None)


@lru_cache(maxsize=1)
def _trusting_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate.

    It also accepts old versions and ciphers: to refuse them protects nothing if any certificate is accepted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.options |= _LEGACY_SERVERS
    return context


@lru_cache(maxsize=8)
def _verifying_context(authorities: str, _changed_ns: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authorities)


def authorities(options: StreamOptions) -> str:
    """Return the file of authorities that a stream trusts.

    Raises:
        SourceError: the system's authorities are needed, but this host has none.
    """
    found = options.tls.ca_file or system_authorities()
    if found is None:
        raise SourceError("certificate", _NO_BUNDLE)
    return found


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
