"""What a configuration may say but probably doesn't mean: warnings, which stop nothing."""

from __future__ import annotations

import stat
from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from framelane.config.address import source_kind
from framelane.config.keypath import KeyPath, Node, Problem
from framelane.config.secrets import clear_text_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from framelane.config.schema import Config, MqttConfig, StreamConfig


def find_oddities(config: Config, written: Node, file: Path | None, places: Sequence[str]) -> list[Problem]:
    """Warnings on a faultless configuration.

    Args:
        config: as the daemon would use it.
        written: the file's content before variables are filled in.
        file: where it lies, if in a file.
        places: what to call the place of each stream.
    """
    found = [_secrets(written, file, places), _models(config), _same_urls(config, places)]
    if config.mqtt is not None:
        found += [_mqtt(config.mqtt), _homeassistant(config.mqtt, config.streams)]
    elif config.jsonl is not None and "detections" not in config.jsonl.kinds:
        message = "detections go nowhere: there is no `mqtt`, and they are not among these"
        found.append(iter([Problem(("jsonl", "kinds"), message)]))
    found += [_stream(("streams", index), stream) for index, stream in enumerate(config.streams)]
    enabled = sum(stream.enabled for stream in config.streams)
    if not enabled:
        shard = ", or falls to this shard" if config.shard.count > 1 else ""
        found.append(iter([Problem(("streams",), f"no stream is enabled{shard}")]))
    found += [_workers(config, enabled), _places(config)]
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
        yield Problem((), f"holds secrets and every user may read it; chmod o-r {file}")


def _models(config: Config) -> Iterator[Problem]:
    used = {key for stream in config.streams for key in stream.model_keys}
    for key, model in config.models.items():
        if key not in used:
            yield Problem(("models", key), "no stream uses this model")
        if model.backend == "onnxruntime" and model.precision != "auto":
            message = "has no effect on ONNX Runtime, which runs the file as it is"
            yield Problem(("models", key, "precision"), message)


def _same_urls(config: Config, places: Sequence[str]) -> Iterator[Problem]:
    streams: dict[str, list[int]] = defaultdict(list)
    for index, stream in enumerate(config.streams):
        if stream.enabled:
            streams[stream.url.get_secret_value()].append(index)
    for first, *others in streams.values():
        for index in others:
            message = f"the same URL as {places[first]}: the camera is opened and decoded twice"
            yield Problem(("streams", index, "url"), message)


def _places(config: Config) -> Iterator[Problem]:
    if config.streams_dir is not None and not Path(config.streams_dir).is_dir():
        yield Problem(("streams_dir",), f"there is no such folder (yet): {config.streams_dir}")
    if config.jsonl is not None and config.jsonl.path != "-":
        path = Path(config.jsonl.path)
        if path.is_dir():
            yield Problem(("jsonl", "path"), f"this is a folder: {path}")
        elif not path.parent.is_dir():
            yield Problem(("jsonl", "path"), f"there is no such folder (yet): {path.parent}")


def _workers(config: Config, streams: int) -> Iterator[Problem]:
    processes = config.workers * len(config.gpus)
    if processes > max(streams, 1):
        message = (
            f"{processes} processes are asked for, and {streams} will run: there is a stream for no more"
        )
        yield Problem(("workers",) if config.workers > 1 else ("gpus",), message)


def _mqtt(mqtt: MqttConfig) -> Iterator[Problem]:
    if mqtt.protocol == "3.1.1" and mqtt.expiry_s:
        yield Problem(("mqtt", "expiry_s"), "has no effect with MQTT 3.1.1")
    if mqtt.url.lower().startswith("mqtts:") and not mqtt.tls.verify:
        message = "anyone between here and the broker can read and change messages"
        yield Problem(("mqtt", "tls", "verify"), message)


def _homeassistant(mqtt: MqttConfig, streams: list[StreamConfig]) -> Iterator[Problem]:
    if not mqtt.homeassistant.enabled:
        return
    if mqtt.payload != "json":
        message = "reads JSON alone: occupancy and counts are left out with `mqtt.payload: msgpack`"
        yield Problem(("mqtt", "homeassistant"), message)
    elif any(stream.publish.empty == "never" for stream in streams):
        message = "counts are left out: with `publish.empty: never` none would go back to 0"
        yield Problem(("mqtt", "homeassistant"), message)


def _stream(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    url = stream.url.get_secret_value()
    if source_kind(url) == "path" and not Path(url).exists():
        yield Problem((*path, "url"), f"there is no such file or folder (yet): {url}")
    if "://" in url and "@" in urlsplit(url).path:
        message = "an `@` in the path; if it ends a password, percent-encode `/ ? # @ [ ]` in that"
        yield Problem((*path, "url"), message)
    if stream.classes is not None and isinstance(stream.confidence, dict):
        for label in stream.confidence:
            if label not in stream.classes:
                yield Problem((*path, "confidence", label), "has no effect: `classes` leaves this label out")
