"""The base of all configuration sections, and the types of their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

IDENTIFIER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
PREFIX_PATTERN = r"^[^#+$/\x00]+(/[^#+/\x00]+)*$"
TIME_OF_DAY_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
SIZE_PATTERN = r"^[1-9][0-9]{0,8} ?([KMG]i?B)?$"


_SWITCHES = {
    spelt: meant
    for words, meant in ((("true", "yes", "on"), True), (("false", "no", "off"), False))
    for word in words
    for spelt in (word, word.capitalize(), word.upper())
}


def _shape(value: object) -> str:
    """Choose a union's branch by the value's shape, so that a bad value is reported for one branch only."""
    if isinstance(value, Mapping):
        return "<map>"
    return "<list>" if isinstance(value, list) else "<one>"


def _flag(value: object) -> object:
    """Read a switch as YAML writes it; pydantic alone would also accept a number or a letter."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _SWITCHES:
        return _SWITCHES[value]
    raise ValueError("neither `true` nor `false`")


Flag = Annotated[bool, BeforeValidator(_flag)]
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
    """Base of all sections: immutable; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the YAML file holds
        """Use the defaults for a section whose keys are all commented out."""
        return {} if value is None else value
