"""Starts real RTSP servers that show a clip: the demo's, GStreamer's, aio-rtsp-toolkit's, mediamtx and go2rtc.

The last two are built by hand, and found through FRAMELANE_NEIGHBOURS, a folder with the two programs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import av
import yaml

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Auth = Literal["none", "basic", "digest"]

USER, PASSWORD = "admin", "sesame"
GST_PYTHON = "/usr/bin/python3"
_GST_SERVER = Path(__file__).with_name("gst_server.py")
_AIO_FOLDER = Path(sys.prefix) / "aio-rtsp"
_START_S = 15.0
_STOP_S = 5.0
_PACE_S = 0.02
_SETTLE_S = 1.0
"""After which a relay has what it pulls."""
_PUBLISHED_S = 0.5
"""Of video, after which a relay knows of its stream."""


class NeighbourMissingError(Exception):
    """A server is not installed here; says how to get it."""


@dataclass(frozen=True, slots=True)
class Show:
    """What a server is to show.

    Attributes:
        clip: H.264, H.265 or MJPEG.
        codec: FFmpeg's name.
        auth: what it asks for.
        audio: whether sound goes along; GStreamer's server alone has it.
        pem: certificate and key, for RTSPS.
    """

    clip: Path
    codec: str
    auth: Auth = "none"
    audio: bool = False
    pem: Path | None = None

    def url(self, port: int, path: str = "cam") -> str:
        """Where to look for it."""
        login = f"{USER}:{PASSWORD}@" if self.auth != "none" else ""
        return f"{'rtsps' if self.pem else 'rtsp'}://{login}127.0.0.1:{port}/{path}"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that shows a clip.

    Attributes:
        url: of the stream.
        whole: whether each client gets the clip from its first picture to its last; else it is live, and in a loop.
    """

    url: str
    whole: bool


@contextlib.contextmanager
def demo(show: Show) -> Iterator[Running]:
    """Run the demo's own server."""
    login = {"username": USER, "password": PASSWORD, "auth": show.auth} if show.auth != "none" else {}
    spec = CameraSpec("cam", show.clip, **login)  # type: ignore[arg-type]
    tls = None
    if show.pem:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(show.pem)
    with RtspServer([spec], tls=tls) as server:
        yield Running(show.url(server.port), whole=False)


@contextlib.contextmanager
def gst(show: Show) -> Iterator[Running]:
    """Run GStreamer's server with the system's Python."""
    looks = "import gi; gi.require_version('GstRtspServer', '1.0'); gi.require_version('Gst', '1.0')"
    needs = [
        f"from gi.repository import Gst; Gst.init(None); assert Gst.ElementFactory.find('{_parser(show)}')"
    ]
    if _run_quietly([GST_PYTHON, "-c", "\n".join([looks, *needs])]):
        raise NeighbourMissingError(
            "GStreamer's RTSP server is not installed: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0"
            " gstreamer1.0-plugins-good; H.265 also needs gstreamer1.0-plugins-bad"
        )
    command = [GST_PYTHON, str(_GST_SERVER), str(show.clip), show.codec, "--auth", show.auth]
    command += ["--audio"] if show.audio else []
    command += ["--tls", str(show.pem)] if show.pem else []
    with _started(command) as process:
        assert process.stdout is not None
        yield Running(show.url(int(process.stdout.readline())), whole=True)


@contextlib.contextmanager
def aio(show: Show) -> Iterator[Running]:
    """Run aio-rtsp-toolkit's server, which has neither logins nor sound."""
    if show.codec == "mjpeg":
        raise NeighbourMissingError("aio-rtsp-toolkit serves no Motion JPEG")
    folder = _AIO_FOLDER if _AIO_FOLDER.is_dir() else None
    if folder is None and importlib.util.find_spec("aio_rtsp_toolkit") is None:
        raise NeighbourMissingError(
            f"aio-rtsp-toolkit is not installed: pip install --no-deps --target {_AIO_FOLDER}"
            " aio-rtsp-toolkit==0.1.4 aio-sockets==0.1.4"
        )
    port, control = _free_port(), _free_port()
    serve = f"server.serve({str(show.clip.parent)!r}, '127.0.0.1', {port}, control_port={control})"
    code = f"import asyncio\nimport aio_rtsp_toolkit.server as server\nasyncio.run({serve})"
    environment = {**os.environ, "PYTHONPATH": str(folder)} if folder else None
    with _started([sys.executable, "-c", code], environment):
        _wait_for_port(port)
        yield Running(show.url(port, show.clip.name), whole=True)


@contextlib.contextmanager
def mediamtx(show: Show) -> Iterator[Running]:
    """Run mediamtx, which pulls from the demo's server."""
    with (
        demo(_open(show)) as camera,
        _mediamtx(show, {"source": camera.url, "rtspTransport": "tcp"}) as running,
    ):
        yield running


@contextlib.contextmanager
def ffmpeg(show: Show) -> Iterator[Running]:
    """Run mediamtx, into which FFmpeg's RTSP muxer publishes: its packets, its description."""
    with _mediamtx(show, {}) as running, _publishing(show, running.url):
        yield running


@contextlib.contextmanager
def go2rtc(show: Show) -> Iterator[Running]:
    """Run go2rtc, which pulls from the demo's server."""
    program = _built("go2rtc")
    port = _free_port()
    with demo(_open(show)) as camera, tempfile.TemporaryDirectory() as folder:
        off: dict[str, Any] = {name: {"listen": ""} for name in ("api", "webrtc", "srtp")}
        config = {**off, "rtsp": {"listen": f"127.0.0.1:{port}"}, "streams": {"cam": camera.url}}
        path = Path(folder) / "go2rtc.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        with _started([program, "-config", str(path)]):
            _wait_for_port(port)
            yield Running(show.url(port), whole=False)


SERVERS: dict[str, Callable[[Show], contextlib.AbstractContextManager[Running]]] = {
    "demo": demo,
    "gst": gst,
    "aio": aio,
    "mediamtx": mediamtx,
    "ffmpeg": ffmpeg,
    "go2rtc": go2rtc,
}


def _parser(show: Show) -> str:
    return {"h264": "rtph264pay", "hevc": "h265parse", "mjpeg": "rtpjpegpay"}[show.codec]


def _open(show: Show) -> Show:
    """The same without a login: what a relay pulls from."""
    return Show(show.clip, show.codec)


def _built(name: str) -> str:
    path = Path(os.environ.get("FRAMELANE_NEIGHBOURS", "/nowhere")) / name
    if not path.is_file():
        raise NeighbourMissingError(
            f"{name} is not built: put the program into a folder and set FRAMELANE_NEIGHBOURS to it"
        )
    return str(path)


@contextlib.contextmanager
def _mediamtx(show: Show, source: Mapping[str, object]) -> Iterator[Running]:
    program, ports = _built("mediamtx"), _free_pair()
    port = _free_port()
    off = dict.fromkeys(("rtmp", "hls", "webrtc", "srt", "moq"), False)
    config: dict[str, Any] = {
        **off,
        "logLevel": "warn",
        "rtspTransports": ["tcp", "udp"],
        "rtspAddress": f"127.0.0.1:{port}",
        "rtpAddress": f"127.0.0.1:{ports}",
        "rtcpAddress": f"127.0.0.1:{ports + 1}",
        "rtspAuthMethods": ["digest" if show.auth == "digest" else "basic"],
        "paths": {"cam": dict(source)},
    }
    if show.pem:
        secure = {"rtspsAddress": f"127.0.0.1:{port}", "rtspAddress": f"127.0.0.1:{_free_port()}"}
        config |= {
            **secure,
            "rtspEncryption": "optional",
            "rtspServerKey": str(show.pem),
            "rtspServerCert": str(show.pem),
        }
    if show.auth != "none":
        reads = [{"action": action, "path": ""} for action in ("read", "publish")]
        config["authInternalUsers"] = [{"user": USER, "pass": PASSWORD, "ips": [], "permissions": reads}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mediamtx.yml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        with _started([program, str(path)]):
            _wait_for_port(port)
            time.sleep(_SETTLE_S)
            yield Running(show.url(port), whole=False)


@contextlib.contextmanager
def _publishing(show: Show, url: str) -> Iterator[None]:
    """Have FFmpeg publish the clip, in a loop and at its own pace."""
    over, playing = threading.Event(), threading.Event()
    thread = threading.Thread(target=_publish, args=(show.clip, url, over, playing), daemon=True)
    thread.start()
    try:
        if not playing.wait(_START_S):
            raise NeighbourMissingError("FFmpeg can't publish to mediamtx")
        yield
    finally:
        over.set()
        thread.join(_STOP_S)


def _publish(clip: Path, url: str, over: threading.Event, playing: threading.Event) -> None:
    with (
        av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as sink,
        av.open(str(clip)) as source,
    ):
        stream = source.streams.video[0]
        out = sink.add_stream_from_template(stream)
        tick = Fraction(stream.time_base.numerator, stream.time_base.denominator)  # type: ignore[union-attr]
        length = round(Fraction(stream.frames) / Fraction(str(stream.average_rate)) / tick)
        began_s, offset = time.monotonic(), 0
        while not over.is_set():
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is None or packet.pts is None:
                    continue
                packet.dts, packet.pts = packet.dts + offset, packet.pts + offset
                over.wait(max(began_s + float(packet.dts * tick) - time.monotonic(), 0))
                if over.is_set():
                    return
                packet.stream = out
                sink.mux(packet)
                if packet.dts * tick > _PUBLISHED_S:
                    playing.set()
            offset += length


@contextlib.contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _run_quietly(command: Sequence[str]) -> int:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=_START_S).returncode
    except (OSError, subprocess.TimeoutExpired):
        return -1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _free_pair() -> int:
    """An even UDP port that is free, as is the next."""
    while True:
        port = _free_port() & ~1
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for each in (port, port + 1):
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(
                    ("127.0.0.1", each)
                )
            return port


def _wait_for_port(port: int) -> None:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(_PACE_S)
    raise NeighbourMissingError(f"nothing listens on port {port} after {_START_S:g} s")
