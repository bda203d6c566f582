"""The table of sinks: a new kind is one file and one line here."""

from __future__ import annotations

SINKS = {
    "mqtt": "framelane.sinks.mqtt.sink",
    "jsonl": "framelane.sinks.jsonl",
}
"""The module of each sink by its key in the configuration file.

A module has `make(section, context)`, which returns the sink. One whose section is not a field of Config also has
`SECTION`, the class of its section.
"""
