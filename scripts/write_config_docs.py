"""Writes configs/example.yaml and the tables of docs/config.md from the schema; `--check` only compares."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from framelane.config.detect import DetectConfig
from framelane.config.homeassistant import HomeAssistantConfig
from framelane.config.schema import (
    BackoffConfig,
    Config,
    EngineConfig,
    HttpConfig,
    JsonlConfig,
    LogConfig,
    ModelConfig,
    MqttConfig,
    NodeConfig,
    PublishConfig,
    ShardConfig,
    StreamConfig,
    StreamOptions,
    TlsConfig,
)
from framelane.config.spool import SpoolConfig
from framelane.config.stream_tls import StreamTlsConfig
from framelane.config.wording import allowed, schema_at

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

# Section, where its keys stand in the schema, and how documentation writes that place.
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
    (ModelConfig, ("models", "*"), "models.&lt;name&gt;"),
    (EngineConfig, ("models", "*", "engine"), "models.&lt;name&gt;.engine"),
    (StreamOptions, ("defaults",), "defaults, streams[]"),
    (BackoffConfig, ("defaults", "backoff"), "defaults.backoff, streams[].backoff"),
    (StreamTlsConfig, ("defaults", "tls"), "defaults.tls, streams[].tls"),
    (StreamConfig, ("streams", 0), "streams[]"),
)
HEAD = """\
# Every key of Framelane's configuration, with its default. Written by scripts/write_config_docs.py.
# Lines marked "example" have no default and show a value; all others may be left out.
# Any value may hold ${NAME} or ${NAME:-fallback}. docs/config.md says more, on editor support too.
"""


def main() -> int:
    """Write both files, or say which one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(outputs()[path])
    return int(check and bool(stale))


def outputs() -> dict[Path, str]:
    """What each file should hold."""
    prose = DOCS.read_text()
    before, after = prose.partition(BEGIN)[0], prose.partition(END)[2]
    return {EXAMPLE: example(), DOCS: f"{before}{BEGIN}\n{tables()}\n{END}{after}"}


def example() -> str:
    """The text of configs/example.yaml."""
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
            yield "    # and any key of `defaults`, for this stream alone"
        elif below is not None:
            yield f"{indent}{name}:"
            yield from _section_lines(below, indent + "  ")
        else:
            yield f"{indent}{name}: {_value(field)}"


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
        return f"{_yaml(field.examples[0])} # example"
    return _yaml(field.get_default(call_default_factory=True))


def _yaml(value: Any) -> str:  # noqa: ANN401 - any default
    if isinstance(value, str):
        plain = yaml.safe_dump(value).removesuffix("...\n").strip() == value
        return value if plain and "://" not in value else json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def tables() -> str:
    """One Markdown table for each section."""
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
