"""What differs between two configurations: streams, which a running daemon can change, and what needs a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.config.section import Section

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from framelane.config.keypath import KeyPath
    from framelane.config.schema import Config, ModelConfig, StreamConfig

_LIVE = ("defaults", "models", "streams")
"""Sections that are looked at by themselves: `defaults` shows in the streams that inherit them."""


@dataclass(frozen=True, slots=True)
class StreamChanges:
    """What becomes of streams; one that is not `enabled` counts as absent."""

    added: tuple[StreamConfig, ...]
    changed: tuple[StreamConfig, ...]
    removed: tuple[str, ...]


def stream_changes(before: Config, after: Config) -> StreamChanges:
    """What leads from the streams of one configuration to those of another, in the other's order."""
    old, new = _enabled(before), _enabled(after)
    return StreamChanges(
        added=tuple(stream for name, stream in new.items() if name not in old),
        changed=tuple(
            stream for name, stream in new.items() if name in old and dict(old[name]) != dict(stream)
        ),
        removed=tuple(name for name in old if name not in new),
    )


def restart_keys(before: Config, after: Config, loaded: Mapping[str, ModelConfig]) -> list[KeyPath]:
    """Keys that differ and that only a restart can change.

    Args:
        before: what runs.
        after: what is wanted.
        loaded: what each loaded model was loaded as, which no file may say any more; others may come, change and go.
    """
    keys = list(_differences(before, after, (), _LIVE))
    for name, section in loaded.items():
        if name in after.models:
            keys += _differences(section, after.models[name], ("models", name))
    return keys


def _enabled(config: Config) -> dict[str, StreamConfig]:
    return {stream.id: stream for stream in config.streams if stream.enabled}


def _differences(
    before: Section, after: Section, path: KeyPath, left_out: Collection[str] = ()
) -> Iterator[KeyPath]:
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if name in left_out or old == new:
            continue
        if isinstance(old, Section) and isinstance(new, Section):
            yield from _differences(old, new, (*path, name))
        else:
            yield (*path, name)
