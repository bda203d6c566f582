"""How images are prepared, as far as a model's section or its file says; the head decides the rest."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.input import InputConfig
    from framelane.models.input.letterbox import Placement
    from framelane.models.input.spec import Channels, InputSpec

_RESIZES: dict[str, Placement] = {
    "letterbox": "center",
    "letterbox-topleft": "topleft",
    "stretch": "stretch",
}
# Intel's Model API writes these into a file: github.com/open-edge-platform/model_api.
_NOTE = "model_info "
_NOTED_RESIZES: dict[str, Placement] = {
    "standard": "stretch",
    "fit_to_window": "topleft",
    "fit_to_window_letterbox": "center",
}
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Preparation:
    """Fields of an InputSpec that are known; None leaves a field to the head."""

    placement: Placement | None = None
    color: Literal["rgb", "bgr"] | None = None
    scale: float | None = None
    mean: Channels | None = None
    std: Channels | None = None
    pad: int | None = None

    @staticmethod
    def of(config: InputConfig, metadata: Mapping[str, str], model: str) -> Preparation:
        """Return what the model's section says, or else its file.

        Raises:
            ModelError: the file's notes can't be read, and the section does not replace them.
        """
        set_by_user = Preparation(
            _RESIZES.get(config.resize),
            None if config.color == "auto" else config.color,
            config.scale,
            None if config.mean is None else _three(config.mean),
            None if config.std is None else _three(config.std),
            config.pad,
        )
        noted = _noted(metadata, set_by_user, model)
        return replace(noted, **set_by_user.known())

    def known(self) -> dict[str, Any]:
        """Return the known fields."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}

    def applied(self, spec: InputSpec) -> InputSpec:
        """Return a head's input with the known fields replaced; bytes are not scaled.

        Raises:
            ModelError: the model takes bytes, which can't be scaled.
        """
        if spec.dtype == "uint8" and any(value is not None for value in (self.scale, self.mean, self.std)):
            raise ModelError(
                "the model takes bytes and scales them itself; remove `input.scale`, `input.mean` and `input.std`"
            )
        return replace(spec, **self.known())


def _noted(metadata: Mapping[str, str], given: Preparation, model: str) -> Preparation:
    """Return the notes of Intel's Model API, except for those that `given` replaces."""
    notes = {
        key.removeprefix(_NOTE): value for key, value in metadata.items() if key.startswith(_NOTE) and value
    }
    found = Preparation()
    if "resize_type" in notes and given.placement is None:
        if notes["resize_type"] not in _NOTED_RESIZES:
            raise ModelError(
                f"{model} notes the resize_type `{notes['resize_type']}`, which Framelane lacks; set `input.resize`"
            )
        found = replace(found, placement=_NOTED_RESIZES[notes["resize_type"]])
    if "reverse_input_channels" in notes:
        reversed_ = notes["reverse_input_channels"].lower() in {"true", "yes", "1"}
        found = replace(found, color="rgb" if reversed_ else "bgr")
    try:
        if "mean_values" in notes or "scale_values" in notes:
            mean, std = notes.get("mean_values", "0"), notes.get("scale_values", "1")
            found = replace(found, scale=1.0, mean=_numbers(mean), std=_numbers(std))
        if "pad_value" in notes:
            found = replace(found, pad=int(notes["pad_value"]))
    except ValueError as error:
        raise ModelError(
            f"{model} notes how to prepare images in a way that can't be read ({error}); "
            "export it again without these notes, and set `input`"
        ) from error
    return found


def _numbers(text: str) -> Channels:
    values = [float(each) for each in text.replace(",", " ").split()]
    return _three(values * _CHANNELS if len(values) == 1 else values)


def _three(values: Sequence[float]) -> Channels:
    first, second, third = values
    return first, second, third
