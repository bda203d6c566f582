"""Writes the text of a first configuration file, with comments on what to change next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from framelane.config.starter.hidden_secrets import Secret

# Words that some YAML parser does not read as text.
_NO_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
DEMO_NOTE = (
    "Comes with Framelane. It has learned from drawn streets alone, which is enough for a first look.",
    "For good detections: `framelane model fetch yolox-s`, and the lines that it prints instead.",
)


@dataclass(frozen=True, slots=True)
class FirstFile:
    """What a first file says.

    Attributes:
        streams: id and URL of each stream, without secrets.
        model: the model's name.
        section: the model's section.
        mqtt: the `mqtt` section; None to print detections instead.
        secrets: what the file leaves to variables.
        note: lines about the model.
    """

    streams: Sequence[tuple[str, str]]
    model: str
    section: Mapping[str, Any]
    mqtt: Mapping[str, str] | None
    secrets: Sequence[Secret]
    note: Sequence[str] = ()

    def text(self) -> str:
        """Return the file's text."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "# Framelane's configuration, written by `framelane init`. Lines that begin with a key after `#` are"
        yield "# examples. After a change: `framelane check FILE`, then `framelane reload FILE` if it runs."
        yield "# All keys: docs/config.md, or `framelane schema` for an editor."
        yield from self._secret_lines()
        yield ""
        yield "# This host in topics and messages; the host name by default."
        yield "# node: {id: gate-01}"
        yield ""
        yield from self._sink_lines()
        yield ""
        yield "# /healthz, /readyz, /metrics and /api. Other hosts need a `token_file`."
        yield '# http: {listen: "127.0.0.1:8080"}'
        yield ""
        yield "models:"
        yield f"  {_quoted(self.model)}:"
        yield from (f"    # {line}" for line in self.note)
        yield from (f"    {key}: {_quoted(value)}" for key, value in self.section.items())
        if "confidence" not in self.section:
            yield "    # Lowest confidence of a detection."
            yield "    # confidence: 0.4"
        yield ""
        yield from self._stream_lines()

    def _secret_lines(self) -> Iterator[str]:
        if self.secrets:
            yield "#"
            yield "# Secrets are not in this file. The daemon takes each from the variable NAME, from the file that"
            yield "# NAME_FILE names, or from systemd's credentials:"
            yield from (f"#   {secret.name}  {secret.meaning}" for secret in self.secrets)

    def _sink_lines(self) -> Iterator[str]:
        if self.mqtt is None:
            yield "# Detections as JSON lines on standard output. With a broker:"
            yield '# mqtt: {url: "mqtt://127.0.0.1:1883"}'
            yield "jsonl:"
            yield '  path: "-"'
            return
        yield "# Detections go to <prefix>/<node>/streams/<id>/detections; docs/mqtt.md has all topics."
        yield "mqtt:"
        yield from (f"  {key}: {_quoted(value)}" for key, value in self.mqtt.items())
        yield "  # prefix: framelane"

    def _stream_lines(self) -> Iterator[str]:
        yield "# Options of all streams. A stream may set each of them for itself."
        yield "defaults:"
        yield "  # Most frames per second that are inferred; all of them by default."
        yield "  # fps: 10"
        yield "  # Give each object a `track_id`."
        yield "  # track: true"
        yield ""
        yield "streams:"
        for name, url in self.streams:
            yield f"  - id: {_quoted(name)}"
            yield f"    url: {_quoted(url)}"


def _quoted(value: Any) -> str:  # noqa: ANN401 - whatever a section holds
    """Return a value as YAML on one line: JSON, but for words that need no quotes."""
    if isinstance(value, str) and value.isascii() and value.isidentifier() and value.lower() not in _NO_TEXT:
        return value
    return orjson.dumps(value).decode()
