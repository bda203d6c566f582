"""Framelane: many cameras in, detections on MQTT out."""

__version__ = "0.1.0"
