"""The Jinja templates by which Home Assistant reads our messages.

Home Assistant leaves an entity as it was where a template gives nothing, and shows it as unknown where it gives `None`.
A message from the spool tells of the past: it changes no entity.
"""

from __future__ import annotations

import json

NODE_AVAILABLE = "{{ 'offline' if value_json.state == 'offline' else 'online' }}"
STREAM_AVAILABLE = "{{ 'online' if value_json.state == 'live' else 'offline' }}"
CONNECTIVITY = "{{ 'ON' if value_json.state == 'live' else 'OFF' }}"
DROPPED = "{{ (value_json.dropped.values() | sum) - value_json.dropped.get('fps', 0) }}"


def field(path: str) -> str:
    """A value that is always there, though it may be null."""
    return f"{{{{ value_json.{path} }}}}"


def percentile(name: str) -> str:
    """A latency in milliseconds, unknown where nothing was published."""
    return f"{{{{ value_json.latency_ms.{name} if value_json.latency_ms else None }}}}"


def occupancy(label: str | None) -> str:
    """ON where an object is seen; what was ON is left to the entity's `off_delay`.

    So one frame without a detection switches nothing off, results that are never published switch it off all the same,
    and of several models one that doesn't know the label has no say. OFF is said only to what has no state yet.
    """
    return (
        "{% if not value_json.replayed %}"
        f"{{% if {_objects(label)} | count %}}ON{{% elif this.state != 'on' %}}OFF{{% endif %}}"
        "{% endif %}"
    )


def count(label: str | None, model: str | None) -> str:
    """How many objects are seen, by the results of one model where several give results."""
    ours = "" if model is None else f" and value_json.model.name == {_quoted(model)}"
    return f"{{% if not value_json.replayed{ours} %}}{{{{ {_objects(label)} | count }}}}{{% endif %}}"


def of_sink(name: str, key: str) -> str:
    """A figure of the node's sink of this name."""
    return _of_row("sinks", "name", name, key)


def of_gpu(index: int, key: str) -> str:
    """A figure of a GPU; unknown where the driver doesn't say."""
    return _of_row("gpus", "index", index, key)


def of_gpu_scaled(index: int, key: str, factor: float, digits: int) -> str:
    """The same times a factor."""
    figure = _row("gpus", "index", index, key)
    scaled = f"(figure * {factor!r}) | round({digits})"
    return f"{{% set figure = {figure} %}}{{{{ {scaled} if figure is number else None }}}}"


def _objects(label: str | None) -> str:
    if label is None:
        return "value_json.detections"
    return f"value_json.detections | selectattr('label', 'eq', {_quoted(label)}) | list"


def _of_row(table: str, column: str, value: str | int, key: str) -> str:
    return f"{{{{ {_row(table, column, value, key)} }}}}"


def _row(table: str, column: str, value: str | int, key: str) -> str:
    rows = f"value_json.{table} | selectattr('{column}', 'eq', {_quoted(value)})"
    return f"({rows} | map(attribute='{key}') | first)"


def _quoted(value: str | int) -> str:
    """A Jinja literal; its strings know JSON's escapes, but not pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)
