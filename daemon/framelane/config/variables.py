"""What `${NAME}` may stand for: a variable of the environment, or a file whose content is a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from framelane.config.secrets import read_secret
from framelane.core.redact import register_secret

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Set by systemd for units with LoadCredential=, and by nobody else."""
_PREFIX = "framelane_"
"""What systemd puts before a file's name where our unit loads a folder of credentials."""


class Variables(Mapping[str, str]):
    """The environment, and behind it files; what comes from a file is known to the redaction before anyone sees it.

    NAME is looked for as the variable NAME, as the file that the variable NAME_FILE names, and as a file NAME among
    systemd's credentials.

    Raises:
        LookupError: from a look-up, where a file is there and can't be read or is no secret.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        """The value; KeyError where there is none."""
        if name in self._environ:
            return self._environ[name]
        file = self._file(name)
        if file is None:
            raise KeyError(name)
        value = _read(name, file)
        register_secret(value)
        return value

    def __iter__(self) -> Iterator[str]:
        """Names of the environment; those of files are not listed."""
        return iter(self._environ)

    def __len__(self) -> int:
        """How many `iter` gives."""
        return len(self._environ)

    def __contains__(self, name: object) -> bool:
        """Whether there is a variable or a file; the file may be unreadable all the same."""
        return name in self._environ or (isinstance(name, str) and self._file(name) is not None)

    def _file(self, name: str) -> Path | None:
        if named := self._environ.get(f"{name}_FILE"):
            return Path(named)
        folder = self._environ.get(CREDENTIALS)
        if not folder:
            return None
        candidates = (Path(folder) / name, Path(folder) / f"{_PREFIX}{name}")
        return next((path for path in candidates if path.is_file()), None)


def _read(name: str, file: Path) -> str:
    try:
        return read_secret(file)
    except OSError as error:
        raise LookupError(f"can't read {file} for `{name}`: {error.strerror or error}") from error
    except ValueError as error:
        raise LookupError(f"{file} for `{name}` {error}") from error
