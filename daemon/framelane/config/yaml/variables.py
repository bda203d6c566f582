"""Looks up `${NAME}`: an environment variable, or a file that contains a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from framelane.config.checks.secrets import read_secret
from framelane.core.redact import register_secret

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Set by systemd for units with LoadCredential=."""
_PREFIX = "framelane_"
"""systemd's prefix of each file name when our unit loads a folder of credentials."""


class Variables(Mapping[str, str]):
    """The environment, extended by files of secrets.

    A look-up of NAME tries the variable NAME, then the file that the variable NAME_FILE names, then the file
    NAME among systemd's credentials. A value from a file is registered for redaction before it is returned.

    Raises:
        LookupError: On a look-up, if the file exists but can't be read or is not a secret.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        """Return the value; raise KeyError if there is none."""
        if name in self._environ:
            return self._environ[name]
        file = self._file(name)
        if file is None:
            raise KeyError(name)
        value = _read(name, file)
        register_secret(value)
        return value

    def __iter__(self) -> Iterator[str]:
        """Iterate over environment variables; files are not listed."""
        return iter(self._environ)

    def __len__(self) -> int:
        """Return the number of environment variables."""
        return len(self._environ)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a variable or a file, which may still be unreadable."""
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
