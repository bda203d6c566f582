"""A configuration on its way through the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.config.keypath import KeyPath, is_disjoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.schema import Config


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration to check.

    Attributes:
        config: the configuration as the daemon would use it.
        written: the configuration as written, nothing inherited.
        models: every model that the file names, faulty ones too.
        places: the name of each stream's place in the files.
        replaced: paths of malformed values, which were replaced by defaults or placeholders.
    """

    config: Config
    written: Config
    models: frozenset[str]
    places: Sequence[str]
    replaced: frozenset[KeyPath] = frozenset()

    def sound(self, *paths: KeyPath) -> bool:
        """Return whether the values at these paths come from the file, so that they can be checked."""
        return all(is_disjoint(path, self.replaced) for path in paths)
