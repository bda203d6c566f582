"""Which models look at objects of others, and which models a configuration uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config


def second_models(models: Mapping[str, ModelConfig], first: str) -> list[str]:
    """Return the keys of the models that look at objects of a model."""
    return [key for key, section in models.items() if section.of == first]


def used_models(config: Config) -> set[str]:
    """Return the keys of the models of enabled streams, and of those that look at their objects."""
    own = {key for stream in config.streams if stream.enabled for key in stream.model_keys}
    return own.union(*(second_models(config.models, key) for key in own))


def firsts_first(models: Mapping[str, ModelConfig]) -> list[str]:
    """Return the keys of all models, in the file's order, but those that look at others' objects last."""
    return sorted(models, key=lambda key: models[key].of is not None)
