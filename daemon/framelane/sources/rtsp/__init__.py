"""Framelane's own RTSP reader: H.264, H.265 and Motion JPEG over TCP, TLS or UDP (RFC 2326)."""
