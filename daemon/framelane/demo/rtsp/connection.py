"""Answers the RTSP requests of one TCP connection (RFC 2326 10)."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framelane.demo.rtsp.message import VERSION, MalformedError, MessageReader, Request, Response
from framelane.demo.rtsp.sdp import CONTROL
from framelane.demo.rtsp.session import Session, TransportKind, TransportOffer, parse_transport
from framelane.demo.rtsp.subscriber import Subscriber, TcpSubscriber, UdpPair, UdpSubscriber

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.demo.rtsp.camera import LiveCamera

MAX_CONNECTIONS = 1024
PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"


@dataclass(slots=True)
class ServerState:
    """State shared by the connections of one server."""

    cameras: dict[str, LiveCamera]
    transports: tuple[TransportKind, ...]
    udp: UdpPair | None
    session_timeout_s: float
    connections: set[RtspConnection] = field(default_factory=set)


class RtspConnection(asyncio.Protocol):
    """One client. A connection has at most one session, which ends with it."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._reader = MessageReader()
        self._nonce = secrets.token_hex(16)
        self._session: Session | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._camera: LiveCamera | None = None
        self._handlers: dict[str, Callable[[Request, LiveCamera], Response]] = {
            "DESCRIBE": self._describe,
            "SETUP": self._set_up,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "TEARDOWN": self._tear_down,
            "GET_PARAMETER": self._keep_alive,
            "SET_PARAMETER": self._keep_alive,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the server's connections, or disconnect if there are too many."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("an RTSP connection needs a stream transport")
        self._transport = transport
        if len(self._state.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._state.connections.add(self)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        """End the session."""
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._end_session()

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        if self._session is not None:
            self._session.touch()
        try:
            for request in self._reader.feed(data):
                self._answer(request)
        except MalformedError:
            self._write(Response(400, {}).encode("0"))
            self._hang_up()

    def drop(self, camera: LiveCamera | None = None) -> None:
        """Close the connection; with `camera`, only if this connection requested it."""
        if self._transport is not None and (camera is None or camera is self._camera):
            self._transport.abort()

    def _answer(self, request: Request) -> None:
        camera = self._state.cameras.get(request.path)
        if camera is not None:
            self._camera = camera
            if camera.faults.dead:
                self.drop()
                return
            if camera.faults.silent:
                return
        self._write(self._respond(request, camera).encode(request.headers.get("cseq", "0")))

    def _respond(self, request: Request, camera: LiveCamera | None) -> Response:
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
        if request.method == "OPTIONS":
            return Response(200, {"Public": PUBLIC})
        handler = self._handlers.get(request.method)
        if handler is None:
            return Response(501, {"Public": PUBLIC})
        if camera is None:
            return Response(404, {})
        credentials = camera.spec.credentials
        given = request.headers.get("authorization", "")
        action = (request.method, request.uri)
        if credentials is not None and not credentials.accepts(given, *action, self._nonce):
            return Response(401, {"WWW-Authenticate": credentials.challenge(self._nonce)})
        return handler(request, camera)

    def _describe(self, request: Request, camera: LiveCamera) -> Response:
        base = request.uri.rstrip("/") + "/"
        return Response(200, {"Content-Base": base, "Content-Type": "application/sdp"}, camera.sdp)

    def _set_up(self, request: Request, camera: LiveCamera) -> Response:
        if self._session is not None:
            known = request.headers.get("session") == self._session.session_id
            return Response(455 if known else 459, {})
        offer = parse_transport(request.headers.get("transport", ""), self._state.transports)
        if offer is None:
            return Response(461, {})
        subscriber, transport = self._open_transport(offer)
        self._session = Session(camera, subscriber)
        timeout_s = int(self._state.session_timeout_s)
        session = f"{self._session.session_id};timeout={timeout_s}"
        return Response(200, {"Transport": transport, "Session": session})

    def _open_transport(self, offer: TransportOffer) -> tuple[Subscriber, str]:
        first, second = offer.pair
        stream, udp = self._stream(), self._state.udp
        if offer.kind == "tcp" or udp is None:
            header = f"RTP/AVP/TCP;unicast;interleaved={first}-{second}"
            return TcpSubscriber(stream, offer.pair), header
        host = stream.get_extra_info("peername")[0]
        header = f"RTP/AVP;unicast;client_port={first}-{second};server_port={udp.ports}"
        return UdpSubscriber(udp, host, offer.pair), header

    def _play(self, request: Request, camera: LiveCamera) -> Response:
        session = self._session
        if session is None or not _names(request, session):
            return _no_session(request)
        sequence, rtptime = camera.start_position()
        url = f"{request.uri.rstrip('/')}/{CONTROL}"
        # The answer must go out before the first packet, so deliver from the next turn of the loop on.
        asyncio.get_running_loop().call_soon(self._start_playing, session)
        info = f"url={url};seq={sequence};rtptime={rtptime}"
        return Response(200, {"Session": session.session_id, "Range": "npt=now-", "RTP-Info": info})

    def _start_playing(self, session: Session) -> None:
        if session is self._session:
            session.play()

    def _pause(self, request: Request, _camera: LiveCamera) -> Response:
        session = self._session
        if session is None or not _names(request, session):
            return _no_session(request)
        session.pause()
        return Response(200, {"Session": session.session_id})

    def _tear_down(self, request: Request, _camera: LiveCamera) -> Response:
        session = self._session
        if session is None or not _names(request, session):
            return Response(454, {})
        self._end_session()
        return Response(200, {})

    def _keep_alive(self, request: Request, _camera: LiveCamera) -> Response:
        session = self._session
        if session is not None and _names(request, session):
            return Response(200, {"Session": session.session_id})
        return Response(454 if "session" in request.headers else 200, {})

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _watch(self) -> None:
        """Close a session whose client was silent for the session timeout."""
        session = self._session
        if session is not None and time.monotonic() - session.seen_s > self._state.session_timeout_s:
            self.drop()
            return
        period_s = self._state.session_timeout_s / 4
        self._timer = asyncio.get_running_loop().call_later(period_s, self._watch)

    def _stream(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("the connection is not open")
        return self._transport

    def _write(self, data: bytes) -> None:
        stream = self._stream()
        if not stream.is_closing():
            stream.write(data)

    def _hang_up(self) -> None:
        self._stream().close()


def _refusal(request: Request) -> Response | None:
    """Return an error that does not depend on the camera, if there is one."""
    if request.version != VERSION:
        return Response(505, {})
    if "cseq" not in request.headers:
        return Response(400, {})
    if "require" in request.headers:
        return Response(551, {"Unsupported": request.headers["require"]})
    return None


def _names(request: Request, session: Session) -> bool:
    """Return whether the request's Session header is this session's."""
    return request.headers.get("session", "").partition(";")[0] == session.session_id


def _no_session(request: Request) -> Response:
    """Return the error for an unexpected PLAY or PAUSE: 454 for an unknown session, 455 before SETUP."""
    if "session" in request.headers:
        return Response(454, {})
    return Response(455, {"Allow": "OPTIONS, DESCRIBE, SETUP"})
