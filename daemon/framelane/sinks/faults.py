"""Why a connection to the broker failed or ended, in words an operator can act on."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

_EARLY_S = 5.0

# By MQTT 5 reason code (section 2.4); paho translates the return codes of 3.1.1 into these.
_REFUSALS = {
    132: ("protocol", "the broker does not speak this MQTT version: set mqtt.protocol"),
    133: ("client_id", "the broker does not accept the client id: set mqtt.client_id"),
    134: ("unauthorized", "wrong user name or password: check mqtt.username and mqtt.password_file"),
    135: (
        "unauthorized",
        "not authorized: check mqtt.username, mqtt.password_file and the broker's access rules",
    ),
    136: ("unavailable", "the broker says that it is unavailable"),
    137: ("unavailable", "the broker says that it is busy"),
    138: ("unauthorized", "the broker has banned this client: see its log"),
    139: ("lost", "the broker shuts down"),
    140: (
        "unauthorized",
        "the broker wants another way of authentication: allow user name and password there",
    ),
    141: ("lost", "keep-alive timeout: the broker or the network stalled"),
    142: (
        "taken_over",
        "another client connected with the same id: give each node its own node.id, or set mqtt.client_id",
    ),
    149: ("too_large", "a message was larger than the broker allows: raise its limit"),
    151: ("quota", "the broker's quota is exceeded: raise it"),
    153: ("payload", "the broker found the payload invalid"),
}


_TLS_DOUBT = ": is it the TLS port, and does the broker ask for a client certificate (mqtt.tls.cert_file)?"


class LinkError(FramelaneError):
    """The connection to the broker could not be made, or has ended; `reason` is one word of it."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def refused(broker: str, code: ReasonCode) -> LinkError:
    """The broker's own reason to refuse or end a connection."""
    reason, text = explained(code)
    return LinkError(reason, f"{broker}: {text}")


def explained(code: ReasonCode) -> tuple[str, str]:
    """One word and one sentence for a reason code."""
    value = int(code.value)
    return _REFUSALS.get(value, ("refused", f"the broker says {str(code).lower()} (code {value})"))


def unreachable(broker: str, error: OSError) -> LinkError:
    """What kept a connection from being made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return LinkError("certificate", f"{broker}: {_untrusted(error)}")
    if isinstance(error, ssl.SSLError):
        return LinkError("tls", f"{broker}: TLS failed ({error.reason or error}){tls_hint(str(error))}")
    for kind, reason, text in _UNREACHABLE:
        if isinstance(error, kind):
            return LinkError(reason, f"{broker}: {text}")
    return LinkError("unreachable", f"{broker}: {error.strerror or error}")


def cut_off(broker: str, detail: str, *, tls: bool) -> LinkError:
    """The broker closed the connection before it accepted it; `detail` is what the socket said."""
    hint = tls_hint(detail) if tls else ": if it expects TLS there, write mqtts:// in mqtt.url"
    more = f" ({detail})" if detail else ""
    return LinkError("refused", f"{broker}: closed the connection at once{more}{hint}")


def lost(broker: str, client_id: str, lived_s: float) -> LinkError:
    """A connection that was accepted has ended without a word."""
    if lived_s > _EARLY_S:
        return LinkError("lost", f"{broker}: connection lost")
    doubt = f"does another client connect with the id {client_id!r}? Set mqtt.client_id"
    return LinkError("lost", f"{broker}: connection lost soon after it was made: {doubt}")


def tls_hint(detail: str) -> str:
    """What to do about an error of the TLS library, as far as its text tells."""
    if "CERTIFICATE_REQUIRED" in detail or "HANDSHAKE_FAILURE" in detail:
        return ": if the broker asks for a client certificate, set mqtt.tls.cert_file and mqtt.tls.key_file"
    if "UNKNOWN_CA" in detail or "BAD_CERTIFICATE" in detail:
        return ": the broker does not trust the client certificate; see mqtt.tls.cert_file"
    if "WRONG_VERSION_NUMBER" in detail or "RECORD_LAYER" in detail:
        return ": if that port is without TLS, write mqtt:// in mqtt.url"
    return _TLS_DOUBT


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".")
    if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"{said}: write the certificate's own name in mqtt.url"
    return f"the certificate is not trusted ({said}): set mqtt.tls.ca_file to the authority that signed it"


_UNREACHABLE: tuple[tuple[type[OSError], str, str], ...] = (
    (socket.gaierror, "unknown_host", "no such host: check mqtt.url and the name service"),
    (
        ConnectionRefusedError,
        "refused",
        "connection refused: is the broker running, and does it listen there?",
    ),
    (TimeoutError, "timeout", "no answer: check mqtt.url, the network and the firewall"),
    (
        ConnectionResetError,
        "refused",
        f"closed the connection at once{_TLS_DOUBT}",
    ),
)
