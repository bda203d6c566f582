"""The size of a model's input: from the file, the configuration, or the exporter's note."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.sections.model import ModelConfig
    from framelane.models.artifact import Artifact
    from framelane.models.input.letterbox import SizeWH


def size_wh(artifact: Artifact, config: ModelConfig) -> SizeWH:
    """Return width and height of the input.

    Raises:
        ModelError: no size is known, or the configuration contradicts the file.
    """
    asked = None if config.size is None else (config.size[0], config.size[1])
    fixed = artifact.size_wh
    if fixed is not None:
        if asked not in (None, fixed):
            raise ModelError(
                f"{artifact.path} takes {artifact.image}; `size: {list(config.size or ())}` "
                "can't change what the file fixes"
            )
        return fixed
    found = asked or _noted_size_wh(artifact.metadata)
    if found is None:
        raise ModelError(
            f"{artifact.path} takes {artifact.image} and leaves the size open; "
            "set `size: [width, height]` to what it was trained on"
        )
    return found


def _noted_size_wh(metadata: Mapping[str, str]) -> SizeWH | None:
    """Return Ultralytics' `imgsz` [height, width] as (width, height)."""
    try:
        height, width = ast.literal_eval(metadata.get("imgsz", ""))
        return int(width), int(height)
    except (ValueError, SyntaxError, TypeError):
        return None
