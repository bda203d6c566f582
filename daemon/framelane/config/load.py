"""From a YAML file to a Config, or to everything that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framelane.config.check import Checked, find_faults
from framelane.config.complete import complete
from framelane.config.document import Document, parse_document
from framelane.config.environment import substitute
from framelane.config.keypath import KeyPath, Node, Problem, at, dotted
from framelane.config.oddities import find_oddities
from framelane.config.secrets import read_secrets, register_secrets
from framelane.config.shard import take_share
from framelane.config.structure import validate
from framelane.config.variables import Variables
from framelane.core.errors import ConfigError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from framelane.config.schema import Config


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        config: the configuration; None if there are findings.
        findings: what keeps it from being used, in the file's order.
        warnings: what is odd about it, in the file's order; only looked for where there are no findings.
        lines: line of the file for each finding's or warning's path.
    """

    config: Config | None
    findings: list[Finding]
    warnings: list[Finding] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

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
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return CheckReport(None, [Finding("", f"can't read {path}: {error.strerror or error}")])
    except UnicodeDecodeError as error:
        return CheckReport(None, [Finding("", f"{path} is not UTF-8 text (byte {error.start})")])
    return check_text(text, path.absolute().parent, environ, path)


def check_text(
    text: str, base_dir: Path, environ: Mapping[str, str], file: Path | None = None
) -> CheckReport:
    """Report everything wrong with YAML text that stands in `base_dir` (in `file`, if any)."""
    try:
        document = parse_document(text)
    except ConfigError as error:
        return CheckReport(None, error.findings)
    written = _without_extensions(document.data)
    if not isinstance(written, dict):
        what = "is empty" if written is None else "is no map of sections"
        return CheckReport(
            None, [Finding("", f"the file {what}; begin with `streams:`, `models:` and `mqtt:`")]
        )
    data, missing = substitute(written, Variables(environ))
    problems = document.problems + missing
    outcome = validate(data, written, [problem.path for problem in problems])
    problems += outcome.problems
    config = outcome.config
    if config is not None:
        config, found = _finish(config, data, base_dir)
        problems += [problem for problem in found if not _within(problem.path, outcome.replaced)]
    if problems or config is None:
        return _report(document, None, problems, [])
    return _report(document, config, [], find_oddities(config, written, file))


def _finish(written: Config, data: Node, base_dir: Path) -> tuple[Config, list[Problem]]:
    """Complete a well-formed configuration and check what it means."""
    config, problems = read_secrets(complete(written, base_dir))
    models = at(data, ("models",))
    named = frozenset(models if isinstance(models, dict) else ()) | frozenset(written.models)
    problems += find_faults(Checked(config, written, named))
    register_secrets(config)
    config, unclear = take_share(config)
    return config, problems + unclear


def _without_extensions(data: Node) -> Node:
    """The file without top-level `x-...` keys, which are there to hold anchors."""
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if not key.startswith("x-")}


def _within(path: KeyPath, reported: Iterable[KeyPath]) -> bool:
    return any(path[: len(outer)] == outer for outer in reported if outer)


def _report(
    document: Document, config: Config | None, findings: list[Problem], warnings: list[Problem]
) -> CheckReport:
    def in_order(problems: list[Problem]) -> list[Finding]:
        ordered = sorted(problems, key=lambda problem: document.mark(problem.path))
        return list(dict.fromkeys(Finding(dotted(problem.path), problem.message) for problem in ordered))

    lines = {dotted(problem.path): document.mark(problem.path)[0] for problem in findings + warnings}
    return CheckReport(config, in_order(findings), in_order(warnings), lines)
