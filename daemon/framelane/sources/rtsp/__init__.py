"""Reads H.264 and H.265 from plain `rtsp://` cameras over TCP without FFmpeg (RFC 2326)."""
