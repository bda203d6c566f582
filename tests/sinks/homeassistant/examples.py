"""Configurations and labels that these tests share."""

from __future__ import annotations

from typing import Any

from framelane.config.sections.homeassistant import HomeAssistantConfig
from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.stream import StreamConfig
from framelane.sinks.homeassistant.site import Site
from framelane.telemetry.gpus import GpuSample

LABELS = {"yolox": ("person", "bicycle", "car"), "plates": ("plate", "car")}
GPU = GpuSample(0, "NVIDIA Test 100")


def mqtt(url: str = "mqtt://127.0.0.1:1", **homeassistant: Any) -> MqttConfig:
    return MqttConfig(url=url, homeassistant=HomeAssistantConfig(enabled=True, **homeassistant))


def site(**homeassistant: Any) -> Site:
    return Site.of("gate-01", mqtt(**homeassistant))


def stream(name: str = "lobby", **options: Any) -> StreamConfig:
    return StreamConfig(**{"id": name, "url": "rtsp://127.0.0.1/x", "model": "yolox", **options})
