"""Embedded RTSP cameras: clips looped live over TCP, UDP or TLS, with faults on command."""

from framelane.demo.rtsp.camera import CameraSpec, CameraStats
from framelane.demo.rtsp.packets import ClipError
from framelane.demo.rtsp.server import Camera, RtspServer

__all__ = ["Camera", "CameraSpec", "CameraStats", "ClipError", "RtspServer"]
