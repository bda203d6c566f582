"""The size of a model's input: the file's own, or the configuration's, or the one its exporter noted."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.schema import ModelConfig
    from framelane.inference.artifact import Artifact
    from framelane.inference.letterbox import SizeWH


def size_wh(artifact: Artifact, config: ModelConfig) -> SizeWH:
    """Width and height of the input.

    Raises:
        ModelError: nobody says it, or the configuration says another one than the file.
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
    """Ultralytics' `imgsz`, [height, width]."""
    try:
        height, width = ast.literal_eval(metadata.get("imgsz", ""))
    except (ValueError, SyntaxError, TypeError):
        return None
    return int(width), int(height)
