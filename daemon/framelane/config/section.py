"""What all sections of the configuration have in common: their base, and the types of their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

IDENTIFIER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
PREFIX_PATTERN = r"^[^#+$/\x00]+(/[^#+/\x00]+)*$"
SIZE_PATTERN = r"^[1-9][0-9]{0,8} ?([KMG]i?B)?$"


def _shape(value: object) -> str:
    """Branch of a union, chosen by the value's shape alone: a bad value is reported for one branch only."""
    if isinstance(value, Mapping):
        return "<map>"
    return "<list>" if isinstance(value, list) else "<one>"


Identifier = Annotated[str, Field(pattern=IDENTIFIER_PATTERN)]
Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Unit = Annotated[float, Field(ge=0, le=1)]
QueueLength = Annotated[int, Field(ge=1, le=1_000_000)]
Size = Annotated[str, Field(pattern=SIZE_PATTERN)]
Side = Annotated[int, Field(ge=32, le=4096)]
NameOrNames = Annotated[
    Annotated[Text, Tag("<one>")] | Annotated[list[Text], Field(min_length=1), Tag("<list>")],
    Discriminator(_shape),
]
UnitOrUnits = Annotated[
    Annotated[Unit, Tag("<one>")] | Annotated[dict[str, Unit], Tag("<map>")], Discriminator(_shape)
]


class Section(BaseModel):
    """Base of all sections: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the YAML file holds
        """A section whose keys are all commented out is a section of defaults."""
        return {} if value is None else value
