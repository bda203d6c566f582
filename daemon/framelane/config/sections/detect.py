"""The `http.detect` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.sections.section import Flag, Seconds, Section


class DetectConfig(Section):
    """Limits of object detection on uploaded images."""

    enabled: Flag = Field(default=True, description="Whether uploads are accepted.")
    max_megabytes: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=10.0, description="Largest upload, in megabytes."
    )
    max_megapixels: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=16.0, description="Largest image, in megapixels, however small the upload."
    )
    in_flight: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4, description="Most requests at once, from upload to answer; others get 429."
    )
    rate: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="Most requests per second, all clients together; others get 429; null for no limit.",
    )
    timeout_s: Seconds = Field(
        default=5.0, description="Seconds allowed for the upload, and again for the answer."
    )
