"""The running configuration, and the steps of every change: check, compare, prepare, store, commit."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.config.explain.differences import restart_keys, stream_changes
from framelane.config.keypath import Problem
from framelane.config.yaml.dropins import read_dropins
from framelane.config.yaml.load import check_written, read_config
from framelane.core.errors import ConfigError, ConflictError, Finding, FramelaneError, RestartNeededError
from framelane.core.fold import FOLD_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.config.yaml.load import CheckReport
    from framelane.config.yaml.written import Written

log = structlog.get_logger(__name__)

_HTTP = "http"
_RELOAD = "reload"
_FOLDER = "streams_dir"


class LiveNode(Protocol):
    """What runs the streams: the pipeline's App, or the parent of several worker processes."""

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """The section with which each loaded model was loaded, by key."""
        ...

    def prepare(self, config: Config) -> None:
        """Do everything about a change that can fail; raise FramelaneError and change nothing if it does."""
        ...

    def commit(self, config: Config) -> None:
        """Switch to the streams of a prepared configuration."""
        ...

    def retry(self) -> None:
        """Reopen at once the streams that wait for their next login attempt."""
        ...


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """The outcome of a change.

    Attributes:
        added: ids of new streams.
        changed: ids of streams with other options.
        removed: ids of removed streams.
        took_s: seconds from request to effect.
        reopened: ids of changed streams whose cameras are opened again; the others continue without a gap.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    took_s: float
    reopened: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the files' content.

    Attributes:
        written: the wanted content, to be checked; changed streams have no place in a file.
        kept: the same content, with the places that streams have once they are stored.
        store: persists the change, as the last step that can fail; raises FramelaneError.
    """

    written: Written
    kept: Written
    store: Callable[[], None] = lambda: None


class LiveConfig:
    """The running configuration and the files' content. Thread-safe: changes run one at a time.

    Args:
        path: the main file.
        environ: variables for `${NAME}`.
        report: the check at the start, without findings.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], report: CheckReport) -> None:
        if report.written is None:
            raise ValueError("the report has no files' content")
        self.path = path
        self.current: tuple[Config, Written] = report.require(), report.written
        """The running configuration and its files' content, replaced together."""
        self._environ = environ
        self._node: LiveNode | None = None
        self._around_reload: Callable[[], AbstractContextManager[None]] = nullcontext
        self._lock = threading.Lock()
        self._state = "starting"
        self._refused: tuple[str, list[str]] | None = None

    @property
    def config(self) -> Config:
        """The running configuration."""
        return self.current[0]

    @property
    def written(self) -> Written:
        """The content of its files."""
        return self.current[1]

    @property
    def folder(self) -> Path | None:
        """The folder of more streams."""
        return None if self.config.streams_dir is None else Path(self.config.streams_dir)

    def attach(
        self, node: LiveNode, around_reload: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Set what runs the streams, and a context to enter during a reload."""
        self._node, self._around_reload = node, around_reload

    def open(self) -> None:
        """Accept changes from now on: the node has started."""
        self._state = "running"

    def close(self) -> None:
        """Accept no more changes: the node is stopping."""
        self._state = "stopping"

    def reload(self) -> ChangeOutcome:
        """Read all files again and apply their content. On an error nothing has changed.

        Raises:
            ConfigError: The files have findings.
            RestartNeededError: The files differ in keys that only a restart can change.
            FramelaneError: The change can't be made.
        """
        # A service manager takes the end of a reload as READY, so a starting daemon must not report it.
        with self._around_reload() if self._state == "running" else nullcontext():
            return self._try(_RELOAD, self._read)

    def reload_folder(self) -> ChangeOutcome:
        """Read only `streams_dir` again; raise as `reload` does."""
        return self._try(_FOLDER, self._read_folder)

    def edit(self, make: Callable[[Written], Edit]) -> ChangeOutcome:
        """Apply the edit that `make` returns for the files' content; no other change runs meanwhile.

        Raises:
            FramelaneError: As `reload` does, or what `make` raises.
        """
        return self._try(_HTTP, lambda: make(self.written))

    def check(self, written: Written) -> Config:
        """Return the configuration with this content of its files, checked as for an edit, and apply nothing.

        Raises:
            ConfigError: It has findings.
        """
        return self._checked(written, needs_streams=False)

    def _read(self) -> Edit:
        written = read_config(self.path, self._environ)
        return Edit(written, written)

    def _read_folder(self) -> Edit:
        written = self.written.with_entries(entry for entry in self.written.entries if not entry.place.file)
        folder = self.folder
        self._require_folder(folder)
        if folder is not None:
            written = written.and_also(*read_dropins(folder, len(written.entries)))
        return Edit(written, written)

    @staticmethod
    def _require_folder(folder: Path | None) -> None:
        # A missing folder is more likely unmounted for a moment than meant to remove its streams.
        if folder is not None and not folder.is_dir():
            text = f"the folder is gone; its streams keep running: {folder}"
            raise ConfigError([Finding("streams_dir", text)])

    def _try(self, cause: str, make: Callable[[], Edit]) -> ChangeOutcome:
        began_s = time.monotonic()
        with self._lock:
            try:
                if self._node is None or self._state != "running":
                    raise ConflictError(f"the daemon is {self._state}; try again when it runs")
                edit = make()
                # Files must also be good for a start; only HTTP may leave a daemon without streams.
                config = self._checked(edit.written, needs_streams=cause != _HTTP)
                in_folder = any(entry.place.file for entry in self.written.entries)
                if cause == _RELOAD and in_folder and config.streams_dir == self.config.streams_dir:
                    self._require_folder(self.folder)
                outcome = self._apply(self._node, config, edit, cause, began_s)
            except FramelaneError as error:
                self._log_refusal(cause, error)
                raise
            self._refused = None
        log.info(
            "config_applied",
            cause=cause,
            added=outcome.added,
            changed=outcome.changed,
            reopened=outcome.reopened,
            removed=outcome.removed,
            took_ms=round(outcome.took_s * 1e3, 1),
        )
        return outcome

    def _log_refusal(self, cause: str, error: FramelaneError) -> None:
        """Log what is wrong, but not again if a retry of the folder fails in the same way."""
        findings = [str(each) for each in error.findings] if isinstance(error, ConfigError) else [str(error)]
        refused, self._refused = self._refused, (cause, findings)
        if self._refused == refused and cause == _FOLDER:
            return
        say = log.warning if cause == _HTTP else log.error
        # Every caller waits for this line, so it is folded by its findings, not by its event.
        kind = f"config_refused {cause} {findings}"
        say("config_refused", cause=cause, kind=type(error).__name__, findings=findings, **{FOLD_KEY: kind})

    def _checked(self, written: Written, *, needs_streams: bool) -> Config:
        base_dir = self.path.absolute().parent
        report = check_written(written, base_dir, self._environ, self.path, needs_streams=needs_streams)
        return report.require()

    def _apply(self, node: LiveNode, config: Config, edit: Edit, cause: str, began_s: float) -> ChangeOutcome:
        keys = restart_keys(self.config, config, node.loaded)
        if keys:
            text = "can't be changed while the daemon runs; restart it, or undo this change"
            raise RestartNeededError([edit.written.finding(Problem(key, text)) for key in keys])
        try:
            node.prepare(config)
        except ConfigError as error:
            raise ConfigError([edit.written.located(each) for each in error.findings]) from error
        edit.store()
        changes = stream_changes(self.config, config)
        node.commit(config)
        self.current = config, edit.kept
        # Only after a reload, not after each of many edits: cameras lock accounts after failed logins.
        if cause == _RELOAD:
            node.retry()
        return ChangeOutcome(
            added=tuple(stream.id for stream in changes.added),
            changed=tuple(stream.id for stream in changes.changed),
            removed=changes.removed,
            took_s=time.monotonic() - began_s,
            reopened=tuple(stream.id for stream in changes.changed if stream.id in changes.reopened),
        )
