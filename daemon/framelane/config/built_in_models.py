"""The models that come with Framelane, by the names that a model's `path` may use for them."""

from __future__ import annotations

from pathlib import Path

import framelane

_PACKAGE = Path(framelane.__file__).parent

BUILT_IN_MODELS = {"demo": _PACKAGE / "demo" / "assets" / "framelane-demo.onnx"}
"""A name is the whole `path`: `./demo` is a file of that name beside the YAML file."""


def model_file(path: str, base_dir: Path) -> Path:
    """Return the file that a model's `path` names; relative paths start at `base_dir`."""
    return BUILT_IN_MODELS.get(path) or base_dir / path
