"""The `shard` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.sections.section import Section


class ShardConfig(Section):
    """The streams that this daemon runs if several daemons share one configuration."""

    index: Annotated[int, Field(ge=0, le=9999)] | None = Field(
        default=None,
        description="This daemon's shard, from 0; by default the number that ends the host name (`name-3`).",
    )
    count: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="Number of shards that the streams are divided into; the same in every daemon."
    )
