"""Write configs/example.yaml and the tables of docs/config.md from the schema; `--check` only compares."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from framelane.config.explain.wording import allowed, schema_at
from framelane.config.sections.backoff import BackoffConfig
from framelane.config.sections.detect import DetectConfig
from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.footage import ClipsConfig, SnapshotsConfig
from framelane.config.sections.homeassistant import HomeAssistantConfig
from framelane.config.sections.http import HttpConfig
from framelane.config.sections.input import InputConfig
from framelane.config.sections.journal import JournalConfig
from framelane.config.sections.jsonl import JsonlConfig
from framelane.config.sections.log import LogConfig
from framelane.config.sections.media import MediaConfig
from framelane.config.sections.model import ModelConfig
from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.mqtt_tls import TlsConfig
from framelane.config.sections.node import NodeConfig
from framelane.config.sections.onvif import OnvifConfig
from framelane.config.sections.publish import PublishConfig
from framelane.config.sections.rules import EventsConfig, LineConfig, ZoneConfig
from framelane.config.sections.s3 import S3Config, S3TlsConfig
from framelane.config.sections.schema import Config
from framelane.config.sections.shard import ShardConfig
from framelane.config.sections.spool import SpoolConfig
from framelane.config.sections.stream import StreamConfig, StreamOptions
from framelane.config.sections.stream_tls import StreamTlsConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from framelane.config.keypath import KeyPath

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "configs" / "example.yaml"
DOCS = ROOT / "docs" / "config.md"
BEGIN, END = "<!-- begin: written by scripts/write_config_docs.py -->", "<!-- end -->"
MODEL_NAME = "yolox"

# Section, path of its keys in the schema, and how the documentation writes that path.
SECTIONS: tuple[tuple[type[BaseModel], KeyPath, str], ...] = (
    (NodeConfig, ("node",), "node"),
    (ShardConfig, ("shard",), "shard"),
    (LogConfig, ("log",), "log"),
    (MqttConfig, ("mqtt",), "mqtt"),
    (SpoolConfig, ("mqtt", "spool"), "mqtt.spool"),
    (TlsConfig, ("mqtt", "tls"), "mqtt.tls"),
    (HomeAssistantConfig, ("mqtt", "homeassistant"), "mqtt.homeassistant"),
    (JsonlConfig, ("jsonl",), "jsonl"),
    (HttpConfig, ("http",), "http"),
    (DetectConfig, ("http", "detect"), "http.detect"),
    (PublishConfig, ("publish",), "publish"),
    (JournalConfig, ("journal",), "journal"),
    (OnvifConfig, ("onvif",), "onvif"),
    (MediaConfig, ("media",), "media"),
    (S3Config, ("media", "s3"), "media.s3"),
    (S3TlsConfig, ("media", "s3", "tls"), "media.s3.tls"),
    (ModelConfig, ("models", "*"), "models.&lt;name&gt;"),
    (EngineConfig, ("models", "*", "engine"), "models.&lt;name&gt;.engine"),
    (InputConfig, ("models", "*", "input"), "models.&lt;name&gt;.input"),
    (StreamOptions, ("defaults",), "defaults, streams[]"),
    (BackoffConfig, ("defaults", "backoff"), "defaults.backoff, streams[].backoff"),
    (StreamTlsConfig, ("defaults", "tls"), "defaults.tls, streams[].tls"),
    (EventsConfig, ("defaults", "events"), "defaults.events, streams[].events"),
    (SnapshotsConfig, ("defaults", "snapshots"), "defaults.snapshots, streams[].snapshots"),
    (ClipsConfig, ("defaults", "clips"), "defaults.clips, streams[].clips"),
    (StreamConfig, ("streams", 0), "streams[]"),
    (LineConfig, ("streams", 0, "lines", "*"), "streams[].lines.&lt;name&gt;"),
    (ZoneConfig, ("streams", 0, "zones", "*"), "streams[].zones.&lt;name&gt;"),
)
# Keys of a stream that map names to sections, with an example of a name.
RULES: dict[str, tuple[str, type[BaseModel]]] = {
    "lines": ("street", LineConfig),
    "zones": ("yard", ZoneConfig),
}
# Sections that need more than their defaults.
COMMENTED_OUT = {"s3"}
HEAD = """\
# Every key of Framelane's configuration with its default. Written by scripts/write_config_docs.py.
# Keys marked "example" have no default; all others may be omitted.
# Any value may contain ${NAME} or ${NAME:-fallback}. See docs/config.md, also for editor support.
"""


def main() -> int:
    """Write both files, or print which one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    stale = [
        path
        for path, text in outputs().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(outputs()[path], encoding="utf-8")
    return int(check and bool(stale))


def outputs() -> dict[Path, str]:
    """Return the expected content of each file."""
    prose = DOCS.read_text(encoding="utf-8")
    before, after = prose.partition(BEGIN)[0], prose.partition(END)[2]
    return {EXAMPLE: example(), DOCS: f"{before}{BEGIN}\n{tables()}\n{END}{after}"}


def example() -> str:
    """Return the text of configs/example.yaml."""
    return HEAD + "\n".join(_section_lines(Config, "")) + "\n"


def _section_lines(section: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if section is StreamConfig and name in StreamOptions.model_fields:
            continue
        if not indent:
            yield ""
        yield f"{indent}# {field.description}"
        below = _section_of(field)
        if name == "models":
            yield from (f"{name}:", f"  {MODEL_NAME}: # example; any name")
            yield from _section_lines(ModelConfig, "    ")
        elif name == "streams":
            yield f"{name}:"
            yield from _first_with_dash(_section_lines(StreamConfig, "    "))
            yield "    # plus any key of `defaults`, for this stream only"
        elif name in COMMENTED_OUT and below is not None:
            yield f"{indent}{name}: null"
            yield from (f"{indent}# {line}" for line in _section_lines(below, "  "))
        elif below is not None:
            yield f"{indent}{name}:"
            yield from _section_lines(below, indent + "  ")
        else:
            if section is StreamConfig and name in RULES:
                yield f"{indent}# Such as {_rule(*RULES[name])}"
            # YAML 1.1 takes a bare `on` for `true`; Framelane reads it either way.
            key = name if yaml.safe_load(name) == name else json.dumps(name)
            yield f"{indent}{key}: {_value(field)}"


def _rule(name: str, section: type[BaseModel]) -> str:
    keys = ", ".join(f"{key}: {_value(field)}" for key, field in section.model_fields.items())
    return f"{name}: {{{keys}}}"


def _first_with_dash(lines: Iterator[str]) -> Iterator[str]:
    dashed = False
    for line in lines:
        is_key = not line.lstrip().startswith("#")
        yield line.replace("    ", "  - ", 1) if is_key and not dashed else line
        dashed = dashed or is_key


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    for section in (cls for cls, _, _ in SECTIONS):
        if field.annotation in (section, section | None):
            return section
    return None


def _value(field: FieldInfo) -> str:
    if field.examples:
        example = _yaml(field.examples[0])
        # Within a rule there is no room for a comment.
        return example if isinstance(field.examples[0], list) else f"{example} # example"
    return _yaml(field.get_default(call_default_factory=True))


def _yaml(value: Any) -> str:  # noqa: ANN401 - any default
    if isinstance(value, str):
        plain = yaml.safe_dump(value).removesuffix("...\n").strip() == value
        return value if plain and "://" not in value else json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def tables() -> str:
    """Return one Markdown table per section."""
    parts = []
    for section, path, title in SECTIONS:
        rows = "\n".join(_rows(section, path))
        head = "| Key | Allowed | Default | Meaning |\n|---|---|---|---|"
        parts.append(f"### {title}\n\n{section.__doc__}\n\n{head}\n{rows}\n")
    return "\n".join(parts)


def _rows(section: type[BaseModel], path: KeyPath) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if section is StreamConfig and name in StreamOptions.model_fields:
            continue
        if _section_of(field) is not None:
            default = "see below"
        elif field.is_required():
            default = "required"
        elif field.examples:
            default = "the host name"
        else:
            default = f"`{_value(field)}`"
        meaning = _cell(field.description or "")
        yield f"| `{name}` | {allowed(schema_at((*path, name)))} | {default} | {meaning} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;") if "`" not in text else text


if __name__ == "__main__":
    sys.exit(main())
