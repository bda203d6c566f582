"""Loads a YAML file into a Config, or reports everything wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from framelane.config.checks.check import find_faults
from framelane.config.checks.checked import Checked
from framelane.config.checks.inheritance import complete
from framelane.config.checks.secrets import read_secrets, register_secrets
from framelane.config.checks.warnings import find_warnings
from framelane.config.keypath import Problem, at, is_disjoint
from framelane.config.shard import apply_shard
from framelane.config.yaml.document import parse_document, read_text
from framelane.config.yaml.dropins import read_dropins
from framelane.config.yaml.environment import substitute
from framelane.config.yaml.structure import validate
from framelane.config.yaml.variables import Variables
from framelane.config.yaml.written import Written
from framelane.core.errors import ConfigError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from framelane.config.keypath import KeyPath, Node
    from framelane.config.sections.schema import Config
    from framelane.config.yaml.document import Document

# Models without streams and workers without streams can be reported only if all of these are sound.
_STREAMS_AND_MODELS = ("streams", "streams_dir", "defaults", "models", "shard", "workers", "gpus")


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration that may have findings.

    Attributes:
        config: the configuration, with malformed values replaced by defaults or placeholders.
        doubtful: paths where something is wrong.
    """

    config: Config
    doubtful: frozenset[KeyPath]

    def sound(self, *paths: KeyPath) -> bool:
        """Return whether nothing is wrong at, around or within these paths."""
        return all(is_disjoint(path, self.doubtful) for path in paths)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The outcome of a check.

    Attributes:
        config: the configuration; None if there are findings.
        findings: errors that prevent its use, in the files' order.
        warnings: warnings, in the files' order.
        written: the files' content; None if they can't be read.
        draft: as much of the configuration as can be checked further; None if nothing can.
    """

    config: Config | None
    findings: list[Finding]
    warnings: list[Finding] = field(default_factory=list)
    written: Written | None = None
    draft: Draft | None = None

    def located(self, findings: Iterable[Finding]) -> list[Finding]:
        """Add files and lines to findings of a later check."""
        return [each if self.written is None else self.written.located(each) for each in findings]

    def require(self) -> Config:
        """Return the configuration.

        Raises:
            ConfigError: There are findings.
        """
        if self.config is None:
            raise ConfigError(self.findings)
        return self.config


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a YAML file and register its secrets with `core.redact`.

    Raises:
        ConfigError: There are findings; the error has all of them.
    """
    return check_config(path, environ).require()


def parse_config(text: str, base_dir: Path, environ: Mapping[str, str]) -> Config:
    """Read YAML text as if it were a file in `base_dir`.

    Raises:
        ConfigError: There are findings; the error has all of them.
    """
    return check_text(text, base_dir, environ).require()


def check_config(path: Path, environ: Mapping[str, str]) -> CheckReport:
    """Read a YAML file and report everything wrong with it; never raises."""
    try:
        written = read_config(path, environ)
    except ConfigError as error:
        return CheckReport(None, error.findings)
    return check_written(written, path.absolute().parent, environ, path)


def check_text(
    text: str, base_dir: Path, environ: Mapping[str, str], file: Path | None = None
) -> CheckReport:
    """Report everything wrong with YAML text in `base_dir` (in `file`, if any)."""
    try:
        written = read_written(parse_document(text), base_dir, environ)
    except ConfigError as error:
        return CheckReport(None, error.findings)
    return check_written(written, base_dir, environ, file)


def read_config(path: Path, environ: Mapping[str, str]) -> Written:
    """Read a YAML file and the folder of streams that it names, without checking them.

    Raises:
        ConfigError: The file can't be read, is not YAML, or is not a map.
    """
    return read_written(parse_document(read_text(path)), path.absolute().parent, environ)


def read_written(main: Document, base_dir: Path, environ: Mapping[str, str]) -> Written:
    """Combine a main file with the folder of streams that it names.

    Raises:
        ConfigError: The main file is not a map.
    """
    if not isinstance(main.data, dict):
        what = "is empty" if main.data is None else "is not a map of sections"
        raise ConfigError([Finding("", f"the file {what}; begin with `streams:`, `models:` and `mqtt:`")])
    written = Written.of(main)
    folder = dropin_folder(written, base_dir, environ)
    return written if folder is None else written.and_also(*read_dropins(folder, len(written.entries)))


def dropin_folder(written: Written, base_dir: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the folder of more streams; None if the key is unset or malformed, which the check reports."""
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
    """Report everything wrong with the files' content; a running daemon doesn't need streams."""
    whole = written.data
    data, missing = substitute(whole, Variables(environ))
    problems = [*written.problems, *missing]
    broken = [problem.path for problem in problems]
    outcome = validate(data, whole, broken, needs_streams=needs_streams)
    problems += outcome.problems
    if outcome.config is None:
        return CheckReport(None, _in_order(written, problems, written.unread), written=written)
    checked = _completed(outcome.config, outcome.replaced, data, base_dir, written.names)
    config, found = read_secrets(checked.config)
    checked = replace(checked, config=config)
    found += find_faults(checked)
    register_secrets(config)
    config, unclear = apply_shard(config)
    problems += [problem for problem in found + unclear if checked.sound(problem.path)]
    findings = _in_order(written, problems, written.unread)
    draft = Draft(config, checked.replaced | {problem.path for problem in problems})
    odd = find_warnings(replace(checked, config=config), whole, file, complete=_all_known(draft, written))
    warnings = _in_order(written, [problem for problem in odd if checked.sound(problem.path)])
    return CheckReport(None if findings else config, findings, warnings, written, draft)


def _completed(
    written: Config, replaced: Iterable[KeyPath], data: Node, base_dir: Path, names: list[str]
) -> Checked:
    """Fill in what a well-formed configuration leaves out."""
    models = at(data, ("models",))
    named = frozenset(models if isinstance(models, dict) else ()) | frozenset(written.models)
    return Checked(complete(written, base_dir), written, named, names, frozenset(replaced))


def _all_known(draft: Draft, written: Written) -> bool:
    """Return whether all streams, and the models they use, are known."""
    return not written.unread and draft.sound(*((section,) for section in _STREAMS_AND_MODELS))


def _in_order(written: Written, problems: list[Problem], unread: Iterable[Finding] = ()) -> list[Finding]:
    """Return findings sorted by file and line, without duplicates."""
    found = [(written.order(problem), written.finding(problem)) for problem in problems]
    found += [((finding.file, (finding.line, 0)), finding) for finding in unread]
    return list(dict.fromkeys(finding for _, finding in sorted(found, key=itemgetter(0))))
