"""The `defaults` section, and one entry of `streams`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from framelane.config.sections.backoff import BackoffConfig
from framelane.config.sections.footage import ClipsConfig, SnapshotsConfig
from framelane.config.sections.publish import PublishConfig
from framelane.config.sections.rules import EventsConfig, LineConfig, ZoneConfig
from framelane.config.sections.section import (
    Flag,
    Identifier,
    NameOrNames,
    Seconds,
    Section,
    Text,
    Unit,
    UnitOrUnits,
)
from framelane.config.sections.stream_tls import StreamTlsConfig

ClockChoice = Literal["auto", "rtcp", "receive"]


class StreamOptions(Section):
    """Options of all streams in `defaults`, or of one stream in `streams`."""

    enabled: Flag = Field(default=True, description="Whether the stream is opened.")
    model: NameOrNames | None = Field(
        default=None, description="Key of the model, or of several; the first of `models` by default."
    )
    fps: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None,
        description="Most frames per second that go to inference; null for all (1 for a snapshot URL).",
    )
    classes: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="Labels to report; null for all."
    )
    confidence: UnitOrUnits | None = Field(
        default=None,
        description="Lowest confidence, for all labels or per label; the model's by default.",
    )
    crop: Annotated[list[Unit], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="Part of the frame that goes to inference: [left, top, right, bottom], from 0 to 1.",
    )
    track: Flag = Field(
        default=False,
        description="Give each object a `track_id` that lasts from frame to frame, from its second frame on.",
    )
    events: EventsConfig | None = Field(
        default=None,
        description="Events of tracked objects; null for none, unless there are lines or zones.",
    )
    snapshots: SnapshotsConfig | None = Field(
        default=None, description="Snapshots of events, kept in `media.folder`; null for none."
    )
    clips: ClipsConfig | None = Field(
        default=None, description="Clips of events of a live H.264 or H.265 stream; null for none."
    )
    decode: Literal["auto", "nvdec", "cpu"] = Field(
        default="auto",
        description="Decoder; `auto` uses NVDEC if all the stream's models run on the GPU. "
        "Video that NVDEC refuses is decoded on the CPU.",
    )
    skip: Literal["none", "nonref", "nonkey"] = Field(
        default="none",
        description="Pictures that the decoder may skip: none, those that no other picture needs, "
        "or all but key frames.",
    )
    video: Annotated[int, Field(ge=0, le=99)] | None = Field(
        default=None,
        description="Which video, counted from 0, if a file, an HLS playlist or a camera's URL has several; "
        "null for the largest that can be decoded.",
    )
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="RTP transport of rtsp:// streams.")
    reader: Literal["auto", "native", "ffmpeg"] = Field(
        default="auto",
        description="What reads RTSP, live HLS and snapshots: Framelane, with FFmpeg for what it can't read; "
        "only Framelane; or only FFmpeg.",
    )
    loop: Flag = Field(default=False, description="Start a file again at its end.")
    realtime: Flag = Field(
        default=True,
        description="Pace a file by its time stamps; if false, read every frame as fast as inference goes.",
    )
    low_latency: Flag = Field(
        default=True,
        description="Decode an RTSP picture when its own last packet arrives; "
        "if false, when the next one begins.",
    )
    late_ms: Annotated[float, Field(ge=50, le=60_000)] = Field(
        default=500.0,
        description="Milliseconds after its arrival within which a live picture must be decoded; "
        "later ones are skipped, up to the next key frame, and counted as `late`.",
    )
    damaged: Literal["drop", "keep"] = Field(
        default="drop",
        description="Damaged live pictures: `drop` them, and those that depend on them or on a missing one, "
        "up to the next key frame, for 10 s at most; or `keep` what can be decoded.",
    )
    clock: ClockChoice = Field(
        default="auto",
        description="Capture time: `auto` uses the RTCP clock or the HLS playlist's dates if they are "
        "plausible, else the arrival; `rtcp` always uses them; `receive` uses the arrival.",
    )
    open_timeout_s: Seconds = Field(default=10.0, description="Most seconds that opening a camera may take.")
    read_timeout_s: Seconds = Field(
        default=5.0,
        description="Seconds of silence after which an open camera is opened again.",
    )
    backoff: BackoffConfig = Field(
        default_factory=BackoffConfig, description="Waits between two attempts to open."
    )
    tls: StreamTlsConfig = Field(
        default_factory=StreamTlsConfig, description="How a camera's certificate is checked."
    )
    ffmpeg: dict[str, str] = Field(default_factory=dict, description="More FFmpeg input options, by name.")


class StreamConfig(StreamOptions):
    """One camera, file or folder."""

    id: Identifier = Field(description="Name of the stream in topics and messages.", examples=["lobby"])
    url: Annotated[SecretStr, Field(min_length=1)] = Field(
        description="rtsp(s)://, http(s)://, a file, a folder of images, or /dev/videoN; may contain ${ENV}.",
        examples=["rtsp://127.0.0.1:8554/lobby"],
    )
    preview_url: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        default=None,
        description="rtsp(s):// of the camera's sub-stream, which the live page plays instead; opened only while "
        "somebody watches; null for the stream itself.",
    )

    publish: PublishConfig = Field(
        default_factory=PublishConfig,
        description="Which results of this stream become messages; unset keys are those of `publish`.",
    )
    lines: Annotated[dict[Identifier, LineConfig], Field(max_length=64)] = Field(
        default_factory=dict, description="Lines by name; they need `track: true`."
    )
    zones: Annotated[dict[Identifier, ZoneConfig], Field(max_length=64)] = Field(
        default_factory=dict, description="Zones by name; they need `track: true`."
    )

    @property
    def urls(self) -> list[str]:
        """The stream's addresses with their secrets: of itself, and of its sub-stream if it has one."""
        return [each.get_secret_value() for each in (self.url, self.preview_url) if each is not None]

    @property
    def event_options(self) -> EventsConfig | None:
        """What is reported about objects; None if the stream has no events."""
        if not self.track:
            # The stream inherits `events` from `defaults`, but tracks nothing.
            return None
        return self.events or (EventsConfig() if self.lines or self.zones else None)

    @property
    def model_keys(self) -> list[str]:
        """Keys of the models that infer this stream; filled in by the loader."""
        return [self.model] if isinstance(self.model, str) else list(self.model or [])
