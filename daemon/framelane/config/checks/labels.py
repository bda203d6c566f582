"""Labels of models, as far as they are known without reading model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framelane.config.checks.inheritance import BUILT_IN_LABELS
from framelane.core.text_files import read_lines

if TYPE_CHECKING:
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config


def known_labels(config: Config, model_keys: list[str]) -> list[str] | None:
    """Return all labels of these models; None if one of them takes its labels from the model file."""
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
        return list(read_lines(Path(model.labels)))
    except (OSError, UnicodeDecodeError):
        # The check of model files reports a missing file; the model's loader reports one that is not text.
        return None
