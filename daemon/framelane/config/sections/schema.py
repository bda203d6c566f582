"""The whole YAML file; every field has a type, a one-line description, and a default unless required."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from framelane.config.sections.http import HttpConfig
from framelane.config.sections.journal import JournalConfig
from framelane.config.sections.jsonl import JsonlConfig
from framelane.config.sections.log import LogConfig
from framelane.config.sections.media import MediaConfig
from framelane.config.sections.model import ModelConfig
from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.node import NodeConfig
from framelane.config.sections.onvif import OnvifConfig
from framelane.config.sections.publish import PublishConfig
from framelane.config.sections.section import Identifier, Section, Text
from framelane.config.sections.shard import ShardConfig
from framelane.config.sections.sinks import SINKS
from framelane.config.sections.stream import StreamConfig, StreamOptions


class FixedSections(Section):
    """The whole file, but for sinks whose sections come with their modules."""

    node: NodeConfig = Field(default_factory=NodeConfig, description="This daemon.")
    shard: ShardConfig = Field(
        default_factory=ShardConfig, description="This daemon's share of the streams; by default all of them."
    )
    log: LogConfig = Field(default_factory=LogConfig, description="Logging.")
    mqtt: MqttConfig | None = Field(default=None, description="The MQTT broker; null for none.")
    jsonl: JsonlConfig | None = Field(default=None, description="JSON lines; null for none.")
    http: HttpConfig = Field(default_factory=HttpConfig, description="The HTTP listener.")
    publish: PublishConfig = Field(
        default_factory=PublishConfig, description="Which results become messages."
    )
    journal: JournalConfig = Field(default_factory=JournalConfig, description="Events and counters on disk.")
    onvif: OnvifConfig = Field(default_factory=OnvifConfig, description="Events in ONVIF's words.")
    media: MediaConfig = Field(
        default_factory=MediaConfig, description="The folder of snapshots and clips of events."
    )
    models: Annotated[dict[Identifier, ModelConfig], Field(min_length=1)] = Field(
        description="Models by name."
    )
    gpus: Annotated[list[Annotated[int, Field(ge=0, le=63)]], Field(min_length=1)] = Field(
        default=[0],
        description="GPUs to use, numbered as in nvidia-smi; streams are divided among them.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Worker processes per GPU (without a GPU, in all); streams are assigned to them in turn.",
    )
    defaults: StreamOptions = Field(
        default_factory=StreamOptions, description="Options of all streams that don't set their own."
    )
    streams_dir: Text | None = Field(
        default=None,
        description="Folder of more streams: `*.yaml`, one stream or a list in each; watched while running; "
        "null for none.",
    )
    streams: list[StreamConfig] = Field(
        default_factory=list,
        description="Streams to run; may be missing if `streams_dir` is set, and [] if `http.listen` is.",
    )


def _with_sinks() -> type[FixedSections]:
    """Add the sections of sinks that the class above does not name."""
    added = [key for key in SINKS if key not in FixedSections.model_fields]
    fields: dict[str, Any] = {}
    for key in added:
        section = import_module(SINKS[key]).SECTION
        fields[key] = (section | None, Field(default=None, description=f"{section.__doc__} null for none."))
    return create_model("Config", __base__=FixedSections, __doc__="The whole file.", **fields)


if TYPE_CHECKING:

    class Config(FixedSections):
        """The whole file."""

else:
    Config = _with_sinks()
