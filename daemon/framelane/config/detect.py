"""The `http.detect` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.section import Seconds, Section


class DetectConfig(Section):
    """Pictures that come over HTTP, `/api/detect`."""

    enabled: bool = Field(default=True, description="Whether pictures are taken at all.")
    max_megabytes: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=10.0, description="Largest upload, in megabytes."
    )
    max_megapixels: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=16.0, description="Largest picture, in megapixels, whatever its upload takes."
    )
    in_flight: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4, description="Most requests at once, from upload to answer; others get 429."
    )
    rate: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="Most requests a second, all clients together; others get 429; null for no limit.",
    )
    timeout_s: Seconds = Field(
        default=5.0, description="Seconds that an upload may take, and then an answer."
    )
