"""From a YAML file to a Config, or to everything that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framelane.config.check import Checked, find_faults
from framelane.config.complete import complete
from framelane.config.document import parse_document
from framelane.config.dropins import read_dropins
from framelane.config.environment import substitute
from framelane.config.keypath import KeyPath, Node, Problem, at
from framelane.config.oddities import find_oddities
from framelane.config.secrets import read_secrets, register_secrets
from framelane.config.shard import take_share
from framelane.config.structure import validate
from framelane.config.variables import Variables
from framelane.config.written import Written
from framelane.core.errors import ConfigError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from framelane.config.document import Document
    from framelane.config.schema import Config


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        config: the configuration; None if there are findings.
        findings: what keeps it from being used, in the files' order.
        warnings: what is odd about it, in the files' order; only looked for where there are no findings.
        written: what the files say; None where they can't be read.
    """

    config: Config | None
    findings: list[Finding]
    warnings: list[Finding] = field(default_factory=list)
    written: Written | None = None

    def located(self, findings: Iterable[Finding]) -> list[Finding]:
        """Findings that came up later, with the files and lines that they are about."""
        return [each if self.written is None else self.written.located(each) for each in findings]

    def require(self) -> Config:
        """The configuration.

        Raises:
            ConfigError: There are findings.
        """
        if self.config is None:
            raise ConfigError(self.findings)
        return self.config


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a YAML file; its secrets become known to `core.redact`.

    Raises:
        ConfigError: With every finding.
    """
    return check_config(path, environ).require()


def parse_config(text: str, base_dir: Path, environ: Mapping[str, str]) -> Config:
    """Read YAML text as if it stood in a file in `base_dir`.

    Raises:
        ConfigError: With every finding.
    """
    return check_text(text, base_dir, environ).require()


def check_config(path: Path, environ: Mapping[str, str]) -> CheckReport:
    """Read a YAML file and report everything wrong with it; raises nothing."""
    try:
        written = read_config(path, environ)
    except ConfigError as error:
        return CheckReport(None, error.findings)
    return check_written(written, path.absolute().parent, environ, path)


def check_text(
    text: str, base_dir: Path, environ: Mapping[str, str], file: Path | None = None
) -> CheckReport:
    """Report everything wrong with YAML text that stands in `base_dir` (in `file`, if any)."""
    try:
        written = read_written(parse_document(text), base_dir, environ)
    except ConfigError as error:
        return CheckReport(None, error.findings)
    return check_written(written, base_dir, environ, file)


def read_config(path: Path, environ: Mapping[str, str]) -> Written:
    """What a YAML file says, and the folder of streams that it names, unchecked.

    Raises:
        ConfigError: they can't be read as what they should be.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Finding("", f"can't read {path}: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Finding("", f"{path} is not UTF-8 text (byte {error.start})")]) from error
    return read_written(parse_document(text), path.absolute().parent, environ)


def read_written(main: Document, base_dir: Path, environ: Mapping[str, str]) -> Written:
    """What a main file says, and the folder of streams that it names.

    Raises:
        ConfigError: they can't be read as what they should be.
    """
    if not isinstance(main.data, dict):
        what = "is empty" if main.data is None else "is no map of sections"
        raise ConfigError([Finding("", f"the file {what}; begin with `streams:`, `models:` and `mqtt:`")])
    written = Written.of(main)
    folder = dropin_folder(written, base_dir, environ)
    return written if folder is None else written.and_also(*read_dropins(folder, len(written.entries)))


def dropin_folder(written: Written, base_dir: Path, environ: Mapping[str, str]) -> Path | None:
    """The folder of more streams; None where none is named, or not as it should be, which the check reports."""
    name, _ = substitute(written.sections.get("streams_dir"), Variables(environ))
    return base_dir / name if isinstance(name, str) and name else None


def check_written(
    written: Written,
    base_dir: Path,
    environ: Mapping[str, str],
    file: Path | None = None,
    *,
    needs_streams: bool = True,
) -> CheckReport:
    """Report everything wrong with what is written; a running daemon may be left without a stream."""
    whole = written.data
    data, missing = substitute(whole, Variables(environ))
    problems = [*written.problems, *missing]
    broken = [problem.path for problem in problems]
    outcome = validate(data, whole, broken, needs_streams=needs_streams)
    problems += outcome.problems
    config = outcome.config
    if config is not None:
        config, found = _finish(config, data, base_dir, written.names)
        problems += [problem for problem in found if not _within(problem.path, outcome.replaced)]
    if problems or config is None:
        return CheckReport(None, _in_order(written, problems), written=written)
    oddities = find_oddities(config, whole, file, written.names)
    return CheckReport(config, [], _in_order(written, oddities), written)


def _finish(written: Config, data: Node, base_dir: Path, names: list[str]) -> tuple[Config, list[Problem]]:
    """Complete a well-formed configuration and check what it means."""
    config, problems = read_secrets(complete(written, base_dir))
    models = at(data, ("models",))
    named = frozenset(models if isinstance(models, dict) else ()) | frozenset(written.models)
    problems += find_faults(Checked(config, written, named, names))
    register_secrets(config)
    config, unclear = take_share(config)
    return config, problems + unclear


def _within(path: KeyPath, reported: Iterable[KeyPath]) -> bool:
    return any(path[: len(outer)] == outer for outer in reported if outer)


def _in_order(written: Written, problems: list[Problem]) -> list[Finding]:
    return list(dict.fromkeys(written.finding(problem) for problem in sorted(problems, key=written.order)))
