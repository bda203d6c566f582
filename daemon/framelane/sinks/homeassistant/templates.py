"""The Jinja templates with which Home Assistant reads our messages.

If a template gives nothing, Home Assistant leaves the entity unchanged. If it gives `None`, the entity
becomes unknown. A replayed message describes the past, so it changes no entity.
"""

from __future__ import annotations

import json

NODE_AVAILABLE = "{{ 'offline' if value_json.state == 'offline' else 'online' }}"
STREAM_AVAILABLE = "{{ 'online' if value_json.state == 'live' else 'offline' }}"
CONNECTIVITY = "{{ 'ON' if value_json.state == 'live' else 'OFF' }}"
# Once its subject is gone, a retained message is empty and no JSON.
KNOWN = "{{ 'online' if value_json is defined and value_json.known else 'offline' }}"
INSIDE = "{% if value_json.known %}{{ 'ON' if value_json.count else 'OFF' }}{% endif %}"
DROPPED = "{{ (value_json.dropped.values() | sum) - value_json.dropped.get('fps', 0) }}"


def field(path: str) -> str:
    """Return a template for a value that is always present, though it may be null."""
    return f"{{{{ value_json.{path} }}}}"


def percentile(name: str) -> str:
    """Return a template for a latency in milliseconds; unknown if nothing was published."""
    return f"{{{{ value_json.latency_ms.{name} if value_json.latency_ms else None }}}}"


def occupancy(label: str | None) -> str:
    """Return a template that says ON while an object is seen. The entity's `off_delay` switches it off.

    So one frame without a detection switches nothing off, and results that are not published do not keep it
    on. A model that does not know the label has no influence. OFF is sent only to an entity without a state.
    """
    return (
        "{% if not value_json.replayed %}"
        f"{{% if {_objects(label)} | count %}}ON{{% elif this.state != 'on' %}}OFF{{% endif %}}"
        "{% endif %}"
    )


def count(label: str | None, model: str | None) -> str:
    """Return a template for the number of objects, from one model's results if there are several models."""
    ours = "" if model is None else f" and value_json.model.name == {_quoted(model)}"
    return f"{{% if not value_json.replayed{ours} %}}{{{{ {_objects(label)} | count }}}}{{% endif %}}"


def of_sink(name: str, key: str) -> str:
    """Return a template for a figure of the node's sink of this name."""
    return _of_row("sinks", "name", name, key)


def of_gpu(index: int, key: str) -> str:
    """Return a template for a figure of a GPU; unknown if the driver does not report it."""
    return _of_row("gpus", "index", index, key)


def of_gpu_scaled(index: int, key: str, factor: float, digits: int) -> str:
    """Return a template for a figure of a GPU times a factor."""
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
    """Return a Jinja literal. Jinja strings accept JSON's escapes, except surrogate pairs."""
    return json.dumps(value, ensure_ascii=False)
