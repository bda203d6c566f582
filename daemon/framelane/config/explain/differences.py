"""Compares two configurations: streams, which a running daemon can change, and keys that need a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.config.sections.s3 import S3Config
from framelane.config.sections.section import Section
from framelane.config.shard import is_own

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from framelane.config.keypath import KeyPath
    from framelane.config.sections.media import MediaConfig
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig

_LIVE = ("defaults", "media", "models", "streams")
"""Sections that are compared separately; changes of `defaults` show in the streams that inherit them."""

_TUNABLE = frozenset(
    {
        "classes",
        "clips",
        "confidence",
        "crop",
        "events",
        "fps",
        "lines",
        "preview_url",
        "publish",
        "snapshots",
        "track",
        "zones",
    }
)
"""Stream options that take effect at the next frame, without opening the camera again."""

_TUNABLE_OF_S3 = frozenset(S3Config.model_fields) - {"prefix", "public_url"}
"""Options of a bucket that take effect with the next upload. The others are part of addresses in messages."""

_TUNABLE_OF_MODELS = ("on", "every_s", "margin", "deadline_s")
"""Options of a loaded second model that take effect at the next frame."""


@dataclass(frozen=True, slots=True)
class StreamChanges:
    """Changes of streams; for the first four attributes a stream that is not `enabled` counts as absent.

    Attributes:
        added: new streams.
        changed: streams with other options.
        removed: ids of streams to stop.
        reopened: ids of changed streams whose cameras must be opened again.
        disabled: ids of all configured streams that are not enabled.
        forgotten: ids of streams that were disabled and are no longer configured.
    """

    added: tuple[StreamConfig, ...]
    changed: tuple[StreamConfig, ...]
    removed: tuple[str, ...]
    reopened: frozenset[str] = frozenset()
    disabled: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()


def stream_changes(before: Config, after: Config) -> StreamChanges:
    """Return the changes from the streams of one configuration to those of another, in the latter's order."""
    old, new = _enabled(before), _enabled(after)
    differing = {name: _options_that_differ(old[name], new[name]) for name in new if name in old}
    disabled, written = disabled_streams(after), {stream.id for stream in after.streams}
    return StreamChanges(
        added=tuple(stream for name, stream in new.items() if name not in old),
        changed=tuple(stream for name, stream in new.items() if differing.get(name)),
        removed=tuple(name for name in old if name not in new),
        reopened=frozenset(name for name, options in differing.items() if options - _tunable(new[name])),
        disabled=disabled,
        forgotten=tuple(name for name in disabled_streams(before) if name not in written),
    )


def disabled_streams(config: Config) -> tuple[str, ...]:
    """Return ids of this shard's streams that are configured but not enabled."""
    return tuple(stream.id for stream in config.streams if not stream.enabled and is_own(stream.id, config))


def restart_keys(before: Config, after: Config, loaded: Mapping[str, ModelConfig]) -> list[KeyPath]:
    """Return keys that differ and that only a restart can change.

    Args:
        before: the running configuration.
        after: the wanted configuration.
        loaded: the section with which each loaded model was loaded, which may differ from any file by now.
            Models that are not loaded may be added, changed and removed.
    """
    keys = [*_differences(before, after, (), _LIVE), *_media_differences(before.media, after.media)]
    for name, section in loaded.items():
        if name in after.models:
            keys += _differences(section, after.models[name], ("models", name), _TUNABLE_OF_MODELS)
    return keys


def _media_differences(before: MediaConfig, after: MediaConfig) -> Iterator[KeyPath]:
    yield from _differences(before, after, ("media",), ("s3",))
    path: KeyPath = ("media", "s3")
    if before.s3 is not None and after.s3 is not None:
        yield from _differences(before.s3, after.s3, path, _TUNABLE_OF_S3)
    elif before.s3 is not after.s3:
        yield path


def _enabled(config: Config) -> dict[str, StreamConfig]:
    return {stream.id: stream for stream in config.streams if stream.enabled}


def announced_streams(config: Config, models: Collection[str]) -> list[StreamConfig]:
    """Return this daemon's streams, disabled ones too, whose models are all among `models`."""
    known = set(models)
    return [
        stream
        for stream in config.streams
        if (stream.enabled or is_own(stream.id, config)) and set(stream.model_keys) <= known
    ]


def _tunable(stream: StreamConfig) -> frozenset[str]:
    """Return the options that can change while the stream is open.

    `fps` is not among them over HTTP: a snapshot server is polled `fps` times per second.
    """
    over_http = stream.url.get_secret_value().lower().startswith(("http://", "https://"))
    return _TUNABLE - {"fps"} if over_http else _TUNABLE


def _options_that_differ(before: StreamConfig, after: StreamConfig) -> set[str]:
    old, new = dict(before), dict(after)
    return {name for name, value in new.items() if old[name] != value}


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
