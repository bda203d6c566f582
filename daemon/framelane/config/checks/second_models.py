"""Finds faults of models that look at objects of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.config.checks.labels import known_labels
from framelane.config.keypath import KeyPath, Problem
from framelane.config.second_models import second_models
from framelane.config.suggest import listed, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.checks.checked import Checked
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config

_KEYS = ("on", "every_s", "margin", "deadline_s")


def second_model_faults(checked: Checked) -> Iterator[Problem]:
    """Yield what keeps second models from looking at anything."""
    for key, model in checked.config.models.items():
        if model.of is None:
            yield from _without_effect(checked, key, model)
        elif checked.sound(("models", key, "of")):
            wrong = _wrong_first(checked, key, model.of)
            if wrong is not None:
                yield Problem(("models", key, "of"), wrong)
            elif model.of in checked.config.models:
                yield from _labels(checked, key, model, model.of)
                yield from _untracked(checked, key, model.of)


def unlooked(config: Config) -> Iterator[Problem]:
    """Yield a warning for each stream that a second model leaves out, because its objects are not tracked."""
    for index, stream in enumerate(config.streams):
        seconds = [key for first in stream.model_keys for key in second_models(config.models, first)]
        if seconds and not stream.track:
            text = f"{listed(f'`{key}`' for key in seconds)} won't look at its objects; set `track: true`"
            yield Problem(("streams", index), text)


def not_of_frames(config: Config, key: str) -> str | None:
    """Return why a stream can't have a model; None if it can."""
    model = config.models.get(key)
    if model is None or model.of is None:
        return None
    return (
        f"`{key}` looks at objects of `{model.of}`, not at frames; name `{model.of}`, "
        "or give the file a second entry under `models` without `of`"
    )


def _without_effect(checked: Checked, key: str, model: ModelConfig) -> Iterator[Problem]:
    for name in _KEYS:
        if getattr(model, name) != type(model).model_fields[name].default:
            path: KeyPath = ("models", key, name)
            if checked.sound(("models", key, "of"), path):
                yield Problem(path, "has no effect without `of`; set that, or remove this")


def _wrong_first(checked: Checked, key: str, first: str) -> str | None:
    models = checked.config.models
    if first == key:
        return "is the model itself; name the model that finds the objects"
    if first not in checked.models:
        return unknown("model", first, checked.models)
    chain = [key, first]
    while chain[-1] in models and (following := models[chain[-1]].of) is not None:
        chain.append(following)
        if following in chain[:-1]:
            return f"goes round in a circle: {' > '.join(chain)}; one of them must look at frames"
    if len(chain) == 1 + 1:
        return None
    return (
        f"`{first}` itself looks at objects, of `{chain[2]}`; "
        f"only objects that a stream's own model finds are tracked, so name `{chain[-1]}`"
    )


def _labels(checked: Checked, key: str, model: ModelConfig, first: str) -> Iterator[Problem]:
    known = known_labels(checked.config, [first])
    for index, label in enumerate(model.on or ()):
        if known is not None and label not in known:
            yield Problem(("models", key, "on", index), unknown("label", label, known))


def _untracked(checked: Checked, key: str, first: str) -> Iterator[Problem]:
    """Require a stream whose objects are tracked, if the model has streams at all."""
    streams = [
        (index, stream) for index, stream in enumerate(checked.config.streams) if first in stream.model_keys
    ]
    sound = checked.sound(
        ("defaults", "track"), *(("streams", index, "track") for index, _ in streams), ("models", first)
    )
    if streams and sound and not any(stream.track for _, stream in streams):
        text = (
            f"only tracked objects are looked at, and no stream of `{first}` tracks any; "
            "set `track: true` in a stream or in `defaults`"
        )
        yield Problem(("models", key, "of"), text)
