"""The typed shape of the YAML file; a field has a default or is required, and one line of documentation."""

from __future__ import annotations

import re
import socket
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from framelane.config.detect import DetectConfig
from framelane.config.homeassistant import HomeAssistantConfig
from framelane.config.section import (
    PREFIX_PATTERN,
    Identifier,
    NameOrNames,
    QueueLength,
    Seconds,
    Section,
    Side,
    Size,
    Text,
    Unit,
    UnitOrUnits,
)
from framelane.config.spool import SpoolConfig
from framelane.config.stream_tls import StreamTlsConfig

ClockChoice = Literal["auto", "rtcp", "receive"]


def _whole(value: object) -> object:
    """A whole number written as text (all scalars of the YAML file arrive as text), or the value as it is."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value) else value


def default_node_id() -> str:
    """The host name, as far as an identifier may hold it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("._-")[:64] or "node"


class NodeConfig(Section):
    """This daemon among others."""

    id: Identifier = Field(
        default_factory=default_node_id,
        description="Name of this node in topics and messages; the host name by default.",
        examples=["gate-01"],
    )
    stats_s: Seconds = Field(
        default=10.0, description="Seconds between two reports of per-stream statistics."
    )
    shutdown_s: Seconds = Field(
        default=8.0, description="Seconds that a stop may take to drain results before it gives up."
    )
    exit_when_ended: bool = Field(
        default=False, description="Exit 0 once every stream has ended (files played once); for batch jobs."
    )


class ShardConfig(Section):
    """This daemon's share of the streams, where several daemons run one configuration."""

    index: Annotated[int, Field(ge=0, le=9999)] | None = Field(
        default=None,
        description="Which share, from 0; by default the number that ends the host name (`name-3`).",
    )
    count: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="Into how many shares the streams are divided; each daemon needs the same."
    )


class LogConfig(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: console on a terminal, JSON lines elsewhere."
    )


class TlsConfig(Section):
    """TLS towards the broker, used with a mqtts:// URL."""

    ca_file: Text | None = Field(
        default=None, description="PEM file of the authorities to trust; the system's by default."
    )
    cert_file: Text | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: Text | None = Field(default=None, description="PEM file of the client certificate's key.")
    verify: bool = Field(default=True, description="Check the broker's certificate and host name.")


class MqttConfig(Section):
    """The broker that detections go to."""

    url: Text = Field(
        description="mqtt://host[:1883] or mqtts://host[:8883]; may hold user:password@.",
        examples=["mqtt://127.0.0.1:1883"],
    )
    username: Text | None = Field(default=None, description="User name.")
    password: SecretStr | None = Field(
        default=None, description="Password; better as ${ENV} or password_file."
    )
    password_file: Text | None = Field(default=None, description="File that holds the password.")
    client_id: Text | None = Field(
        default=None, description="MQTT client id; `<prefix>-<node id>` by default."
    )
    prefix: str = Field(
        default="framelane", pattern=PREFIX_PATTERN, description="First levels of every topic."
    )
    payload: Literal["json", "msgpack"] = Field(
        default="json", description="Encoding of detections; all other messages are always JSON."
    )
    qos: Annotated[Literal[0, 1, 2], BeforeValidator(_whole)] = Field(
        default=1, description="Quality of service of detections."
    )
    protocol: Literal["5", "3.1.1"] = Field(default="5", description="MQTT version.")
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = Field(
        default=30, description="Seconds between pings on an idle connection."
    )
    expiry_s: Annotated[int, Field(ge=0, le=4_294_967_295)] = Field(
        default=0, description="Message expiry of detections in seconds (MQTT 5 only); 0 for none."
    )
    queue: QueueLength = Field(
        default=10_000,
        description="Detections held in memory while the broker is away and the spool off, or slower than they come; "
        "then the oldest go, counted.",
    )
    spool: SpoolConfig = Field(default_factory=SpoolConfig, description="The spool on disk.")
    inflight: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=256, description="Unacknowledged QoS 1 and 2 messages in flight."
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS files for mqtts://.")
    homeassistant: HomeAssistantConfig = Field(
        default_factory=HomeAssistantConfig, description="Discovery by Home Assistant."
    )


class JsonlConfig(Section):
    """Detections as JSON lines, to a file or to standard output."""

    path: Text = Field(description="File to append to, or `-` for standard output.", examples=["-"])
    kinds: list[Literal["detections", "state", "stats", "status"]] = Field(
        default=["detections"], description="Which messages are written."
    )
    queue: QueueLength = Field(
        default=10_000, description="Messages held while the disk is slow; then the oldest go, counted."
    )


class HttpConfig(Section):
    """Health and metrics over HTTP."""

    listen: Text | None = Field(
        default=None, description="`host:port` to listen on, such as 127.0.0.1:8080; off by default."
    )
    token: SecretStr | None = Field(
        default=None, description="Bearer token that all but /healthz and /readyz ask for; none by default."
    )
    token_file: Text | None = Field(default=None, description="File that holds the bearer token.")
    cert_file: Text | None = Field(
        default=None, description="PEM file of the listener's certificate: then it speaks HTTPS alone."
    )
    key_file: Text | None = Field(default=None, description="PEM file of that certificate's key.")
    ready: Literal["any", "all"] = Field(
        default="any", description="/readyz wants one live stream (`any`), or every one of them (`all`)."
    )
    detect: DetectConfig = Field(
        default_factory=DetectConfig,
        description="Pictures that are sent here, to have objects in them found.",
    )


class PublishConfig(Section):
    """Which results become messages."""

    empty: Literal["always", "heartbeat", "never"] = Field(
        default="always",
        description="Results without objects: all of them, one every heartbeat_s a stream, or none.",
    )
    heartbeat_s: Seconds = Field(
        default=10.0, description="Seconds between two empty results with `empty: heartbeat`."
    )
    max_rate: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="Most results a second of a stream and model; null for all."
    )


class EngineConfig(Section):
    """The TensorRT engine made of a model's file."""

    build: Literal["auto", "never"] = Field(
        default="auto",
        description="`auto` builds an engine that is missing or doesn't fit this GPU; `never` refuses to start.",
    )
    folder: Text = Field(
        default="engines", description="Where engines, their .json sidecars and the timing cache are kept."
    )
    workspace: Size = Field(default="4GiB", description="Most GPU memory that the builder may try out.")
    min_batch: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1, description="Smallest batch of the engine's profile; smaller ones are padded to it."
    )
    calibration: Text | None = Field(
        default=None,
        description="Folder with at least 128 of your own pictures; needed for `precision: int8`.",
    )
    level: Annotated[int, Field(ge=0, le=5)] | None = Field(
        default=None, description="Builder's optimisation level (TensorRT 8.6 and newer); its own by default."
    )


class ModelConfig(Section):
    """One detection model."""

    path: Text = Field(
        description="ONNX file; relative paths start at the YAML file.", examples=["models/yolox_nano.onnx"]
    )
    backend: Literal["auto", "tensorrt", "onnxruntime"] = Field(
        default="auto", description="What runs the model; `auto` takes the fastest one present."
    )
    precision: Literal["auto", "fp32", "fp16", "int8"] = Field(
        default="auto",
        description="Precision of the TensorRT engine; `auto` is fp16. ONNX Runtime runs the file as it is.",
    )
    engine: EngineConfig = Field(
        default_factory=EngineConfig, description="The TensorRT engine; ONNX Runtime has no use for it."
    )
    head: Literal["auto", "yolox", "yolox-decoded", "yolov5", "yolov8", "end2end"] = Field(
        default="auto", description="Layout of the output; `auto` reads metadata and shapes."
    )
    batch: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0,
        description="Most frames in one inference; 0 for what suits the backend: 1 on a CPU, 16 on a GPU.",
    )
    linger_ms: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=10.0, description="Milliseconds an incomplete batch waits for more frames."
    )
    waiting: Annotated[int, Field(ge=0, le=16)] = Field(
        default=0,
        description="Most frames of a stream that wait for inference; then a newer one replaces the oldest. "
        "0 for what suits the backend: 1 on a CPU, 2 on a GPU.",
    )
    slots: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="Batches in flight at once; 0 for one a CPU core, or 2 on a GPU."
    )
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Input [width, height] in pixels, where the file leaves it open."
    )
    labels: NameOrNames = Field(
        default="auto",
        description="`auto` (from the file), `coco`, a text file with a name a line, or a list.",
    )
    confidence: Unit = Field(default=0.4, description="Least confidence of a detection.")
    iou: Unit = Field(
        default=0.45, description="Overlap above which the weaker of two boxes of a class is suppressed."
    )
    max_det: Annotated[int, Field(ge=1, le=3000)] = Field(default=300, description="Most detections a frame.")


class BackoffConfig(Section):
    """Waits between two tries to open a stream."""

    first_s: Seconds = Field(
        default=1.0, description="Seconds before the first new try; doubles from there, with jitter."
    )
    most_s: Seconds = Field(default=60.0, description="Most seconds between two tries.")


class StreamOptions(Section):
    """What can be said of all streams in `defaults` and of one in `streams`."""

    enabled: bool = Field(default=True, description="Whether the stream is opened at all.")
    model: NameOrNames | None = Field(
        default=None, description="Key of the model, or of several; the first of `models` by default."
    )
    fps: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="Most frames a second that go to inference; null for all."
    )
    classes: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="Labels to report; null for all."
    )
    confidence: UnitOrUnits | None = Field(
        default=None,
        description="Least confidence, for all labels or by label; the model's by default.",
    )
    crop: Annotated[list[Unit], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="Part of the picture that goes to inference: [left, top, right, bottom], from 0 to 1.",
    )
    decode: Literal["auto", "nvdec", "cpu"] = Field(
        default="auto",
        description="Which decoder; `auto` takes NVDEC if all the stream's models run on the GPU. "
        "What NVDEC refuses goes to the CPU.",
    )
    skip: Literal["none", "nonref", "nonkey"] = Field(
        default="none",
        description="Frames the decoder may skip: none, those no other frame needs, all but key frames.",
    )
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="RTP transport of rtsp:// streams.")
    reader: Literal["auto", "ffmpeg"] = Field(
        default="auto",
        description="What reads rtsp:// over TCP: Framelane itself where it can, or FFmpeg, which reads all the rest.",
    )
    loop: bool = Field(default=False, description="Start a file again at its end.")
    realtime: bool = Field(
        default=True,
        description="Pace a file by its time stamps; else every frame is read, as fast as inference goes.",
    )
    low_latency: bool = Field(
        default=True,
        description="Decode an RTSP picture when its own last packet is in; else when the next one begins.",
    )
    late_ms: Annotated[float, Field(ge=50, le=60_000)] = Field(
        default=500.0,
        description="Milliseconds within which a live picture has to be decoded once it has arrived; else it is "
        "skipped, up to the next key frame, and counted as `late`.",
    )
    clock: ClockChoice = Field(
        default="auto",
        description="Capture time: the camera's RTCP clock where it is sane, or the arrival here.",
    )
    open_timeout_s: Seconds = Field(
        default=10.0, description="Seconds a camera may take to answer, until it is open."
    )
    read_timeout_s: Seconds = Field(
        default=5.0,
        description="Seconds of silence, once it is open, after which a camera is opened again.",
    )
    backoff: BackoffConfig = Field(
        default_factory=BackoffConfig, description="Waits between two tries to open."
    )
    tls: StreamTlsConfig = Field(
        default_factory=StreamTlsConfig, description="What is demanded of a camera's certificate."
    )
    ffmpeg: dict[str, str] = Field(default_factory=dict, description="More FFmpeg input options, by name.")


class StreamConfig(StreamOptions):
    """One camera, file or folder."""

    id: Identifier = Field(description="Name of the stream in topics and messages.", examples=["lobby"])
    url: Annotated[SecretStr, Field(min_length=1)] = Field(
        description="rtsp(s)://, http(s)://, a file, a folder of images, or /dev/videoN; may hold ${ENV}.",
        examples=["rtsp://127.0.0.1:8554/lobby"],
    )

    publish: PublishConfig = Field(
        default_factory=PublishConfig,
        description="Which results of this stream become messages; keys not set here are those of `publish`.",
    )

    @property
    def model_keys(self) -> list[str]:
        """Keys of the models this stream goes to; filled in by the loader."""
        return [self.model] if isinstance(self.model, str) else list(self.model or [])


class Config(Section):
    """The whole file."""

    node: NodeConfig = Field(default_factory=NodeConfig, description="This daemon.")
    shard: ShardConfig = Field(
        default_factory=ShardConfig, description="This daemon's share of the streams; by default all of them."
    )
    log: LogConfig = Field(default_factory=LogConfig, description="Logging.")
    mqtt: MqttConfig | None = Field(default=None, description="The MQTT broker; null for none.")
    jsonl: JsonlConfig | None = Field(default=None, description="JSON lines; null for none.")
    http: HttpConfig = Field(default_factory=HttpConfig, description="Health and metrics.")
    publish: PublishConfig = Field(
        default_factory=PublishConfig, description="Which results become messages."
    )
    models: Annotated[dict[Identifier, ModelConfig], Field(min_length=1)] = Field(
        description="Models by name."
    )
    gpus: Annotated[list[Annotated[int, Field(ge=0, le=63)]], Field(min_length=1)] = Field(
        default=[0],
        description="GPUs to use, by number as nvidia-smi lists them; streams are divided among them.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Processes a GPU (or, without one, in all); streams are dealt out to them in turn.",
    )
    defaults: StreamOptions = Field(
        default_factory=StreamOptions, description="Options of all streams that don't say otherwise."
    )
    streams_dir: Text | None = Field(
        default=None,
        description="Folder of more streams, `*.yaml`, one or a list in each; watched while running; null for none.",
    )
    streams: Annotated[list[StreamConfig], Field(min_length=1)] = Field(
        default_factory=list, description="What to watch; may be left out where `streams_dir` is set."
    )
