"""What types can't say: whether the parts of a configuration fit each other, and the files they name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.config.address import (
    AddressError,
    BrokerAddress,
    is_loopback,
    parse_broker,
    parse_listen,
    source_kind,
)
from framelane.config.complete import BUILT_IN_LABELS
from framelane.config.keypath import KeyPath, Problem
from framelane.config.suggest import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from framelane.config.homeassistant import HomeAssistantConfig
    from framelane.config.schema import (
        BackoffConfig,
        Config,
        HttpConfig,
        ModelConfig,
        MqttConfig,
        StreamConfig,
        StreamOptions,
        TlsConfig,
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration on the bench.

    Attributes:
        config: as the daemon would use it.
        written: as the file says it, nothing inherited.
        models: every model that the file names, faulty ones too.
        places: what to call the place of each stream.
    """

    config: Config
    written: Config
    models: frozenset[str]
    places: Sequence[str]


def find_faults(checked: Checked) -> list[Problem]:
    """Everything that keeps the configuration from being used."""
    config, written = checked.config, checked.written
    faults = [_sinks(config), _http(config), _stream_ids(checked)]
    if written.mqtt is not None:
        faults += [_broker(written.mqtt), _tls_files(config.mqtt.tls if config.mqtt else written.mqtt.tls)]
        faults.append(_homeassistant(checked, written.mqtt.homeassistant))
    faults += [_model_files(key, model) for key, model in config.models.items()]
    faults += [_options(checked, ("defaults",), written.defaults)]
    for index, stream in enumerate(written.streams):
        path: KeyPath = ("streams", index)
        faults += [_source(path, stream), _options(checked, path, stream)]
    return list(chain.from_iterable(faults))


def _sinks(config: Config) -> Iterator[Problem]:
    if config.mqtt is None and config.jsonl is None:
        yield Problem((), "results go nowhere; set `mqtt` or `jsonl`")


def _http(config: Config) -> Iterator[Problem]:
    if config.http.listen is None:
        return
    path: KeyPath = ("http", "listen")
    try:
        host, _ = parse_listen(config.http.listen)
    except AddressError as error:
        yield Problem(path, f"{error}; got `{config.http.listen}`")
        return
    for key in ("cert_file", "key_file"):
        yield from _file(("http", key), getattr(config.http, key))
    yield from _pair(("http",), config.http)
    if not is_loopback(host) and config.http.token is None and config.http.token_file is None:
        yield Problem(path, f"`{host}` is open to others; set `http.token_file`, or listen on 127.0.0.1")


def _broker(mqtt: MqttConfig) -> Iterator[Problem]:
    try:
        address = parse_broker(mqtt.url)
    except AddressError as error:
        yield Problem(("mqtt", "url"), str(error))
        return
    yield from _credentials(mqtt, address)
    if not address.tls:
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(mqtt.tls, key) is not None:
                yield Problem(("mqtt", "tls", key), "has no effect without TLS; write mqtts:// in `mqtt.url`")


def _credentials(mqtt: MqttConfig, address: BrokerAddress) -> Iterator[Problem]:
    has_password = mqtt.password is not None or mqtt.password_file is not None
    username = mqtt.username if mqtt.username is not None else address.username
    if address.username is not None and mqtt.username is not None:
        yield Problem(("mqtt", "username"), "`mqtt.url` holds a user name too; keep one")
    if address.password is not None and has_password:
        key = "password" if mqtt.password is not None else "password_file"
        yield Problem(("mqtt", key), "`mqtt.url` holds a password too; keep one")
    if username is None and (has_password or address.password is not None):
        yield Problem(("mqtt", "username"), "is missing; a password needs a user name")


def _tls_files(tls: TlsConfig) -> Iterator[Problem]:
    path: KeyPath = ("mqtt", "tls")
    for key in ("ca_file", "cert_file", "key_file"):
        yield from _file((*path, key), getattr(tls, key))
    yield from _pair(path, tls)


def _pair(path: KeyPath, section: TlsConfig | HttpConfig) -> Iterator[Problem]:
    """A certificate and its key come together."""
    if section.cert_file is not None and section.key_file is None:
        yield Problem((*path, "key_file"), "is missing; `cert_file` needs its key")
    if section.key_file is not None and section.cert_file is None:
        yield Problem((*path, "cert_file"), "is missing; `key_file` needs its certificate")


def _model_files(key: str, model: ModelConfig) -> Iterator[Problem]:
    yield from _file(("models", key, "path"), model.path)
    yield from _calibration(key, model)
    if isinstance(model.labels, str) and model.labels not in BUILT_IN_LABELS:
        yield from _file(("models", key, "labels"), model.labels)


def _calibration(key: str, model: ModelConfig) -> Iterator[Problem]:
    """INT8 is made of pictures, where an engine may have to be built."""
    if model.backend == "onnxruntime" or model.engine.build == "never":
        return
    folder = model.engine.calibration
    path: KeyPath = ("models", key, "engine", "calibration")
    if folder is None and model.precision == "int8":
        yield Problem(
            path, "is missing; `precision: int8` needs a folder with at least 128 of your own pictures"
        )
    elif folder is not None and model.precision == "int8" and not Path(folder).is_dir():
        yield Problem(path, f"there is no such folder: {folder}")


def _file(path: KeyPath, file: str | None) -> Iterator[Problem]:
    if file is None or Path(file).is_file():
        return
    what = "is a folder, not a file" if Path(file).is_dir() else "there is no such file"
    yield Problem(path, f"{what}: {file}")


def _stream_ids(checked: Checked) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, stream in enumerate(checked.written.streams):
        earlier = first.setdefault(stream.id, index)
        if earlier != index:
            yield Problem(
                ("streams", index, "id"), f"`{stream.id}` is the id of {checked.places[earlier]} already"
            )


def _source(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    """The stream's URL, and options that it sets itself though its kind of source has no use for them."""
    try:
        kind = source_kind(stream.url.get_secret_value())
    except AddressError as error:
        yield Problem((*path, "url"), str(error))
        return
    if kind not in ("rtsp", "device"):
        return
    live = "an RTSP stream" if kind == "rtsp" else "a device"
    own = stream.model_fields_set
    if "loop" in own and stream.loop:
        yield Problem((*path, "loop"), f"{live} has no end to start again from; remove it")
    if "realtime" in own and not stream.realtime:
        yield Problem((*path, "realtime"), f"{live} is live whatever this says; remove it")


def _options(checked: Checked, path: KeyPath, options: StreamOptions | StreamConfig) -> Iterator[Problem]:
    """Options as they stand in `defaults` or in one stream: each fault is reported where it is written."""
    config, own = checked.config, options.model_fields_set
    if "model" in own:
        yield from _model_names(checked, path, options)
    if "backoff" in own:
        index = path[1] if len(path) > 1 else None
        merged = config.streams[index].backoff if isinstance(index, int) else options.backoff
        yield from _backoff(path, merged)
    if "tls" in own:
        yield from _stream_tls(checked, path, options)
    if "crop" in own and options.crop is not None:
        yield from _crop(path, options.crop)
    # `defaults` are inherited by streams of any model: there a label must be known to one of all models.
    index = path[1] if len(path) > 1 else None
    stream = config.streams[index] if isinstance(index, int) else None
    known = known_labels(config, stream.model_keys if stream is not None else list(config.models))
    if known is not None:
        yield from _labels(path, options, known)


def _model_names(checked: Checked, path: KeyPath, options: StreamOptions) -> Iterator[Problem]:
    names = [options.model] if isinstance(options.model, str) else options.model or []
    for position, name in enumerate(names):
        place = (*path, "model") if isinstance(options.model, str) else (*path, "model", position)
        if name not in checked.models:
            yield Problem(place, unknown("model", name, checked.models))
        elif name in names[:position]:
            yield Problem(place, f"`{name}` is named twice")


def _backoff(path: KeyPath, backoff: BackoffConfig) -> Iterator[Problem]:
    if backoff.first_s > backoff.most_s:
        message = f"first_s ({backoff.first_s:g}) is more than most_s ({backoff.most_s:g})"
        yield Problem((*path, "backoff"), message)


def _stream_tls(checked: Checked, path: KeyPath, options: StreamOptions) -> Iterator[Problem]:
    """What is written here; a stream may set one key, and `defaults` the other."""
    streams, own = checked.config.streams, options.tls.model_fields_set
    index = path[1] if len(path) > 1 else None
    users = [streams[index]] if isinstance(index, int) else streams
    if "ca_file" in own and options.tls.ca_file is not None:
        whole = users[0].tls if isinstance(index, int) else checked.config.defaults.tls
        yield from _file((*path, "tls", "ca_file"), whole.ca_file)
        if not any(stream.tls.verify for stream in users):
            yield Problem((*path, "tls", "ca_file"), "has no effect without `verify: true`")
    if isinstance(index, int) and "verify" in own and options.tls.verify:
        scheme = users[0].url.get_secret_value().partition("://")[0].lower()
        if scheme not in ("rtsps", "https"):
            yield Problem(
                (*path, "tls", "verify"), "has no effect without TLS; write rtsps:// or https:// in `url`"
            )


def _crop(path: KeyPath, crop: list[float]) -> Iterator[Problem]:
    left, top, right, bottom = crop
    for first, start, last, end in (("left", left, "right", right), ("top", top, "bottom", bottom)):
        if start >= end:
            yield Problem((*path, "crop"), f"{first} ({start:g}) must be less than {last} ({end:g})")


def _homeassistant(checked: Checked, homeassistant: HomeAssistantConfig) -> Iterator[Problem]:
    known = known_labels(checked.config, sorted(checked.models))
    for position, label in enumerate(homeassistant.classes or []):
        if known is not None and label not in known:
            yield Problem(("mqtt", "homeassistant", "classes", position), unknown("label", label, known))


def known_labels(config: Config, model_keys: list[str]) -> list[str] | None:
    """All labels of these models as far as the file lists them; None where a model brings its own."""
    labels: list[str] = []
    for key in model_keys:
        names = _label_names(config.models[key]) if key in config.models else None
        if names is None:
            return None
        labels += names
    return labels


def _label_names(model: ModelConfig) -> list[str] | None:
    if not isinstance(model.labels, str):
        return model.labels
    if model.labels in BUILT_IN_LABELS:
        return None
    try:
        lines = Path(model.labels).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None  # _model_files reports what is missing, the model's loader what is no text
    return [line.strip() for line in lines if line.strip()]


def _labels(path: KeyPath, options: StreamOptions, known: list[str]) -> Iterator[Problem]:
    own = options.model_fields_set
    if "classes" in own:
        for position, label in enumerate(options.classes or []):
            if label not in known:
                yield Problem((*path, "classes", position), unknown("label", label, known))
    if "confidence" in own and isinstance(options.confidence, dict):
        for label in options.confidence:
            if label not in known:
                yield Problem((*path, "confidence", label), unknown("label", label, known))
