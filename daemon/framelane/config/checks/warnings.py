"""Warns about settings that are valid but probably not meant; warnings don't stop a start."""

from __future__ import annotations

import stat
from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.config.address import AddressError, source_kind
from framelane.config.built_in_models import BUILT_IN_MODELS
from framelane.config.checks.check import waits_for_streams
from framelane.config.checks.media import media_warnings
from framelane.config.checks.second_models import unlooked
from framelane.config.checks.secrets import clear_text_secrets
from framelane.config.keypath import KeyPath, Node, Problem
from framelane.config.sections.rules import EventsConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from framelane.config.checks.checked import Checked
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig


def find_warnings(checked: Checked, written: Node, file: Path | None, *, complete: bool) -> list[Problem]:
    """Return warnings about a configuration, which may have findings too.

    Args:
        checked: the configuration as the daemon would use it.
        written: the file's content before variables are filled in.
        file: the file, if there is one.
        complete: whether all streams and models were read, so that missing or unused ones can be reported.
    """
    config, places = checked.config, checked.places
    found = [_secrets(written, file, places), _precision(config), _places(config)]
    found.append(media_warnings(config.media))
    if config.mqtt is not None:
        found += [_mqtt(config.mqtt), _homeassistant(config.mqtt, config.streams), _dots(config, config.mqtt)]
        found += [_onvif(config, config.mqtt)]
    elif config.jsonl is not None and "detections" not in config.jsonl.kinds:
        message = "detections go nowhere: there is no `mqtt`, and this list excludes them"
        found.append(iter([Problem(("jsonl", "kinds"), message)]))
    sound = [index for index in range(len(config.streams)) if checked.sound(("streams", index, "url"))]
    found += [_stream(("streams", index), config.streams[index]) for index in sound]
    found.append(_same_urls({index: config.streams[index] for index in sound}, places))
    if file is not None:
        found.append(_hidden_files(checked.written, file.absolute().parent))
    if complete:
        found += [_unused(config), _enabled(config), _untracked(config), unlooked(config)]
    return list(chain.from_iterable(found))


def _secrets(written: Node, file: Path | None, places: Sequence[str]) -> Iterator[Problem]:
    clear = clear_text_secrets(written)
    urls = [path for path in clear if path[0] == "streams"]
    for path in clear:
        if path not in urls:
            yield Problem(path, "a secret in clear text; use ${NAME} or a `*_file` key")
    if urls:
        more = f" (and in {len(urls) - 1} more streams)" if len(urls) > 1 else ""
        yield Problem(urls[0], f"a password in clear text{more}; use ${{NAME}}")
    in_main = [path for path in clear if path not in urls or places[int(path[1])].startswith("streams[")]
    if in_main and file is not None and file.stat().st_mode & stat.S_IROTH:
        yield Problem((), f"contains secrets that every user can read; run chmod o-r {file}")


def _unused(config: Config) -> Iterator[Problem]:
    if waits_for_streams(config):
        return
    used = {key for stream in config.streams for key in stream.model_keys}
    for key, model in config.models.items():
        if key not in used and model.of not in used:
            yield Problem(("models", key), "no stream uses this model")


def _untracked(config: Config) -> Iterator[Problem]:
    # The defaults themselves, as in configs/example.yaml, are no mistake.
    meant = config.defaults.events not in (None, EventsConfig())
    if meant and not any(stream.track for stream in config.streams):
        yield Problem(("defaults", "events"), "has no effect: no stream has `track: true`")


def _hidden_files(written: Config, base_dir: Path) -> Iterator[Problem]:
    """Warn about files with the name of a built-in model, which `path` then does not name."""
    for key, model in written.models.items():
        if model.path in BUILT_IN_MODELS and (base_dir / model.path).exists():
            message = f"is the model that comes with Framelane; write `./{model.path}` for the file here"
            yield Problem(("models", key, "path"), message)


def _precision(config: Config) -> Iterator[Problem]:
    for key, model in config.models.items():
        if model.backend == "onnxruntime" and model.precision != "auto":
            message = "has no effect on ONNX Runtime, which runs the file as it is"
            yield Problem(("models", key, "precision"), message)


def _same_urls(streams: Mapping[int, StreamConfig], places: Sequence[str]) -> Iterator[Problem]:
    users: dict[str, list[int]] = defaultdict(list)
    for index, stream in streams.items():
        if stream.enabled:
            users[stream.url.get_secret_value()].append(index)
    for first, *others in users.values():
        # A duplicated stream is one mistake; the finding on its id reports it.
        for index in (other for other in others if streams[other].id != streams[first].id):
            message = f"the same URL as {places[first]}: the camera is opened and decoded twice"
            yield Problem(("streams", index, "url"), message)


def _places(config: Config) -> Iterator[Problem]:
    if config.streams_dir is not None and not Path(config.streams_dir).is_dir():
        yield Problem(("streams_dir",), f"there is no such folder (yet): {config.streams_dir}")
    if config.jsonl is not None and config.jsonl.path != "-":
        path = Path(config.jsonl.path)
        if path.is_dir():
            yield Problem(("jsonl", "path"), f"is a folder, not a file: {path}")
        elif not path.parent.is_dir():
            yield Problem(("jsonl", "path"), f"there is no such folder (yet): {path.parent}")


def _enabled(config: Config) -> Iterator[Problem]:
    streams = sum(stream.enabled for stream in config.streams)
    if not streams and not waits_for_streams(config):
        shard = " in this shard" if config.shard.count > 1 else ""
        yield Problem(("streams",), f"no stream is enabled{shard}")
    processes = config.workers * len(config.gpus)
    if processes > max(streams, 1) and not waits_for_streams(config):
        plural = "" if streams == 1 else "s"
        message = f"{processes} workers configured for {streams} stream{plural}; the rest are not started"
        yield Problem(("workers",) if config.workers > 1 else ("gpus",), message)


def _mqtt(mqtt: MqttConfig) -> Iterator[Problem]:
    if mqtt.protocol == "3.1.1" and mqtt.expiry_s:
        yield Problem(("mqtt", "expiry_s"), "has no effect with MQTT 3.1.1")
    if mqtt.url.lower().startswith("mqtts:") and not mqtt.tls.verify:
        message = "anyone on the path to the broker can read and change messages"
        yield Problem(("mqtt", "tls", "verify"), message)


def _dots(config: Config, mqtt: MqttConfig) -> Iterator[Problem]:
    """Warn about dots in topics, which RabbitMQ treats as slashes."""
    message = "RabbitMQ treats a `.` in a topic as a `/`; subscriptions as in the docs then receive nothing"
    if "." in mqtt.prefix:
        yield Problem(("mqtt", "prefix"), message)
    if "." in config.node.id:
        yield Problem(("node", "id"), f"{config.node.id}: {message}; the default is the host name")
    dotted = [index for index, stream in enumerate(config.streams) if "." in stream.id]
    if dotted:
        more = f" (and {len(dotted) - 1} more streams)" if len(dotted) > 1 else ""
        yield Problem(("streams", dotted[0], "id"), f"{message}{more}")


def _onvif(config: Config, mqtt: MqttConfig) -> Iterator[Problem]:
    if config.onvif.enabled and not mqtt.retain:
        message = "with `mqtt.retain: false` clients learn of zones and counters only when these change"
        yield Problem(("onvif", "enabled"), message)


def _homeassistant(mqtt: MqttConfig, streams: list[StreamConfig]) -> Iterator[Problem]:
    if not mqtt.homeassistant.enabled:
        return
    if not mqtt.retain:
        message = "with `mqtt.retain: false` devices are missing after its restart until it asks"
        yield Problem(("mqtt", "homeassistant"), message)
    if mqtt.payload != "json":
        message = "reads only JSON; with `mqtt.payload: msgpack` it gets no occupancy and no counts"
        yield Problem(("mqtt", "homeassistant"), message)
    elif any(stream.publish.empty == "never" for stream in streams):
        message = "no counts are announced: with `publish.empty: never` they would never go back to 0"
        yield Problem(("mqtt", "homeassistant"), message)


def url_oddity(url: str) -> str:
    """Return what is odd about a stream's URL; empty if nothing is."""
    try:
        path = urlsplit(url).path
    except ValueError:
        # An unclosed bracket; opening the source reports it.
        return ""
    if "://" in url and "@" in path:
        return "an `@` in the path; if it ends a password, percent-encode `/ ? # @ [ ]` in the password"
    return ""


def _is_path(url: str) -> bool:
    try:
        return source_kind(url) == "path"
    except AddressError:
        # Reported as a finding.
        return False


def _stream(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    url = stream.url.get_secret_value()
    if _is_path(url) and not Path(url).exists():
        yield Problem((*path, "url"), f"there is no such file or folder (yet): {url}")
    for key in ("url", "preview_url"):
        address = getattr(stream, key)
        oddity = "" if address is None else url_oddity(address.get_secret_value())
        if oddity:
            yield Problem((*path, key), oddity)
    if stream.preview_url == stream.url:
        message = "the same as `url`: the camera is opened twice for the same video; remove it"
        yield Problem((*path, "preview_url"), message)
    if stream.classes is not None and isinstance(stream.confidence, dict):
        for label in stream.confidence:
            if label not in stream.classes:
                yield Problem((*path, "confidence", label), "has no effect: `classes` excludes this label")
