"""The `models.<name>.engine` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framelane.config.sections.section import Section, Size, Text


class EngineConfig(Section):
    """The TensorRT engine built from a model's file."""

    build: Literal["auto", "never"] = Field(
        default="auto",
        description="`auto` builds an engine that is missing or doesn't fit this GPU; "
        "`never` refuses to start.",
    )
    folder: Text = Field(
        default="engines", description="Folder of engines, their .json sidecars and the timing cache."
    )
    workspace: Size = Field(default="4GiB", description="Most GPU memory for the builder's workspace.")
    min_batch: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1, description="Smallest batch of the engine's profile; smaller ones are padded to it."
    )
    calibration: Text | None = Field(
        default=None,
        description="Folder with at least 128 of your own images; required for `precision: int8`.",
    )
    level: Annotated[int, Field(ge=0, le=5)] | None = Field(
        default=None,
        description="Builder optimization level (TensorRT 8.6 and newer); TensorRT's default if null.",
    )
