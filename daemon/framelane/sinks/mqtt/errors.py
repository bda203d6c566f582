"""Explains to operators why a connection to the broker failed or ended."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from framelane.core.errors import FramelaneError

_EARLY_S = 5.0
CUT_OFF = "cut_off"
"""The reason if the broker closes the connection without a word before accepting it."""
OURS = -1
"""Stands for a reason code if our own client gave up, over a packet that it can't read."""
_TELLING = frozenset({135, 144, 149, 153, 154, 155})
"""Reason codes that say what is wrong with a message."""
_OVER_A_MESSAGE = _TELLING | {OURS, 128, 129, 130, 131}

# By MQTT 5 reason code (section 2.4). paho translates the return codes of 3.1.1 into these.
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
    154: ("retain", "the broker keeps no retained messages: set mqtt.retain to false"),
    155: ("qos", "the broker does not support this QoS: lower mqtt.qos"),
}


# X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_YET_VALID, _EXPIRED = 9, 10
_TLS_DOUBT = ": is it the TLS port, and does the broker ask for a client certificate (mqtt.tls.cert_file)?"


class BrokerError(FramelaneError):
    """The connection to the broker could not be made, or has ended.

    Attributes:
        reason: the fault in one word.
        code: the broker's reason code, or `OURS`; None if there is none.
    """

    def __init__(self, reason: str, message: str, code: int | None = None) -> None:
        self.reason = reason
        self.code = code
        super().__init__(message)

    @property
    def over_a_message(self) -> bool:
        """Whether a message may be the reason that an accepted connection has ended."""
        return self.reason == "lost" if self.code is None else self.code in _OVER_A_MESSAGE

    @property
    def tells(self) -> bool:
        """Whether the broker says that a message is the reason."""
        return self.code in _TELLING


def refused(broker: str, code: int) -> BrokerError:
    """Return the error for a refusal or disconnect with a reason code."""
    reason, text = explained(code)
    return BrokerError(reason, f"{broker}: {text}", code)


def explained(code: int) -> tuple[str, str]:
    """Return a word and a sentence for a reason code."""
    return _REFUSALS.get(code) or ("refused", f"the broker says {_name(code)}")


def _name(code: int) -> str:
    names = ReasonCode(PacketTypes.DISCONNECT).names.get(code)
    return f"{next(iter(names)).lower()} (code {code})" if names else f"code {code}, which MQTT does not know"


def unreadable(broker: str, packet: str) -> BrokerError:
    """Return the error for a packet that our client can't read, which ends the connection."""
    text = f'our client could not accept the broker\'s {packet} packet: try mqtt.protocol: "3.1.1"'
    return BrokerError("unreadable", f"{broker}: {text}, and report it to us and the broker's makers", OURS)


def unreachable(broker: str, error: OSError) -> BrokerError:
    """Return the error for a connection that could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerError("certificate", f"{broker}: {_untrusted(error)}")
    if isinstance(error, ssl.SSLError):
        return BrokerError("tls", f"{broker}: TLS failed ({error.reason or error}){tls_hint(str(error))}")
    for kind, reason, text in _UNREACHABLE:
        if isinstance(error, kind):
            return BrokerError(reason, f"{broker}: {text}")
    return BrokerError("unreachable", f"{broker}: {error.strerror or error}")


def cut_off(broker: str, detail: str, *, tls: bool, mqtt5: bool) -> BrokerError:
    """Return the error for a connection closed before it was accepted; `detail` is the socket's text."""
    hint = tls_hint(detail) if tls else ": if it expects TLS there, write mqtts:// in mqtt.url"
    old = '; if it supports only MQTT 3.1.1, set mqtt.protocol: "3.1.1"' if mqtt5 else ""
    more = f" ({detail})" if detail else ""
    reason = "tls" if "SSL" in detail else CUT_OFF
    return BrokerError(reason, f"{broker}: closed the connection at once{more}{hint}{old}")


def lost(broker: str, client_id: str, lived_s: float, oldest: str | None) -> BrokerError:
    """Return the error for an accepted connection that ended without a word; `oldest` was in flight."""
    if lived_s > _EARLY_S:
        return BrokerError("lost", f"{broker}: connection lost")
    doubt = f"does another client connect with the id {client_id!r}? Set mqtt.client_id"
    if oldest is not None:
        doubt = f"does the broker not take what was in flight ({oldest}), or {doubt}"
    return BrokerError("lost", f"{broker}: connection lost soon after it was made: {doubt}")


def tls_hint(detail: str) -> str:
    """Return advice about an error of the TLS library, as far as its text allows."""
    if "CERTIFICATE_REQUIRED" in detail or "HANDSHAKE_FAILURE" in detail:
        return ": if the broker asks for a client certificate, set mqtt.tls.cert_file and mqtt.tls.key_file"
    if "CERTIFICATE_EXPIRED" in detail:
        return ": the broker says that the client certificate has expired: renew mqtt.tls.cert_file"
    if "UNKNOWN_CA" in detail or "BAD_CERTIFICATE" in detail:
        return ": the broker does not trust the client certificate; see mqtt.tls.cert_file"
    if "WRONG_VERSION_NUMBER" in detail or "RECORD_LAYER" in detail:
        return ": if that port is without TLS, write mqtt:// in mqtt.url"
    return _TLS_DOUBT


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".")
    # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH.
    if error.verify_code in (62, 64):
        return f"{said}: write the certificate's own name in mqtt.url"
    if error.verify_code == _NOT_YET_VALID:
        return (
            f"the certificate is not valid yet ({said}): check this host's clock, and the certificate's dates"
        )
    if error.verify_code == _EXPIRED:
        return f"the certificate has expired ({said}): renew it at the broker; if it is new, check this host's clock"
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
