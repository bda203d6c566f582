"""Serves one clip with GStreamer's RTSP server; run by the system's Python, which has GStreamer's bindings.

    /usr/bin/python3 tests/neighbours/gst_server.py clip.mp4 h264 --auth digest

Each client gets the whole clip, from its first picture on and at its own pace. Prints the port, and ends with its
standard input.
"""

from __future__ import annotations

import argparse
import sys
import threading
from typing import Any

import gi  # type: ignore[import-not-found,unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found,unused-ignore] # noqa: E402

ROLE = "viewer"
PAYLOADERS = {
    "h264": "qtdemux ! queue ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "hevc": "qtdemux ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "matroskademux ! rtpjpegpay name=pay0 pt=26",
}
AUDIO = "audiotestsrc is-live=true ! queue ! audio/x-raw,rate=8000 ! alawenc ! rtppcmapay name=pay1 pt=8"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("codec", choices=sorted(PAYLOADERS))
    parser.add_argument("--mtu", type=int, default=1400)
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--auth", choices=("none", "basic", "digest"), default="none")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="sesame")
    parser.add_argument(
        "--tls", metavar="PEM", help="certificate and key; the server then speaks RTSPS alone"
    )
    return parser.parse_args()


def factory(wanted: argparse.Namespace) -> Any:
    """Make what each client gets."""
    made = GstRtspServer.RTSPMediaFactory()
    payloader = PAYLOADERS[wanted.codec]
    audio = AUDIO if wanted.audio else ""
    made.set_launch(f'( filesrc location="{wanted.clip}" ! {payloader} mtu={wanted.mtu} {audio} )')
    if wanted.auth != "none" or wanted.tls:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(ROLE, "media.factory.access", True)  # noqa: FBT003
        permissions.add_permission_for_role(ROLE, "media.factory.construct", True)  # noqa: FBT003
        made.set_permissions(permissions)
    return made


def login(wanted: argparse.Namespace) -> Any:
    """Make what the server asks of its clients; None if that is nothing."""
    if wanted.auth == "none" and not wanted.tls:
        return None
    auth = GstRtspServer.RTSPAuth()
    if wanted.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(wanted.tls))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if wanted.auth == "none":
        auth.set_default_token(token)  # else TLS alone would let nobody in
    elif wanted.auth == "basic":
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(wanted.user, wanted.password), token)
    elif wanted.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(wanted.user, wanted.password, token)
    return auth


def main() -> None:
    """Serve until standard input ends."""
    wanted = arguments()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    auth = login(wanted)
    if auth is not None:
        server.set_auth(auth)
    server.get_mount_points().add_factory("/cam", factory(wanted))
    server.get_thread_pool().set_max_threads(4)
    if not server.attach(None):
        sys.exit("the RTSP server can't listen")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop = GLib.MainLoop()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.quit()

    threading.Thread(target=wait_for_end, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
