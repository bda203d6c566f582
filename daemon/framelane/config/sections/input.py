"""The `models.<name>.input` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framelane.config.sections.section import Section

_Three = Field(min_length=3, max_length=3)


class InputConfig(Section):
    """How images are prepared: each value of 0 to 255 becomes `(value * scale - mean) / std`."""

    resize: Literal["auto", "letterbox", "letterbox-topleft", "stretch"] = Field(
        default="auto",
        description="`letterbox` keeps the image's shape and pads around it, `letterbox-topleft` right and below; "
        "`stretch` fills the input.",
    )
    color: Literal["auto", "rgb", "bgr"] = Field(default="auto", description="Order of the channels.")
    scale: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Factor on values of 0 to 255, such as 0.00392157 (1/255) or 1.",
    )
    mean: Annotated[list[float], _Three] | None = Field(
        default=None,
        description="Subtracted from each channel after scaling, in the order of `color`.",
    )
    std: Annotated[list[Annotated[float, Field(gt=0)]], _Three] | None = Field(
        default=None, description="Divides each channel after that."
    )
    pad: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None, description="Value of the padding, 0 to 255."
    )
