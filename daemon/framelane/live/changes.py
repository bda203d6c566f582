"""The configuration that runs, and the one way to another: check, compare, prepare, store, commit."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.config.differences import restart_keys, stream_changes
from framelane.config.dropins import read_dropins
from framelane.config.keypath import Problem
from framelane.config.load import check_written, read_config
from framelane.core.errors import ConfigError, ConflictError, Finding, FramelaneError, RestartNeededError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from framelane.config.load import CheckReport
    from framelane.config.schema import Config, ModelConfig
    from framelane.config.written import Written

log = structlog.get_logger(__name__)

_HTTP = "http"
_RELOAD = "reload"
_FOLDER = "streams_dir"


class LiveNode(Protocol):
    """What runs the streams: the App, or the parent of several."""

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """What each model that is loaded, by key, was loaded as."""
        ...

    def prepare(self, config: Config) -> None:
        """Make ready for other streams, all that can fail; raises FramelaneError, and nothing has changed then."""
        ...

    def commit(self, config: Config) -> None:
        """Go over to the streams of a configuration that was prepared."""
        ...

    def retry(self) -> None:
        """Try again at once what waits for its next login."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change came to: ids of streams, and seconds from request to effect."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    took_s: float


@dataclass(frozen=True, slots=True)
class Edit:
    """Streams changed by hand.

    Attributes:
        written: what is wanted, to be checked; places are the request's.
        kept: the same with the places it has once it is stored.
        store: makes it last, after all that can fail; raises FramelaneError.
    """

    written: Written
    kept: Written
    store: Callable[[], None] = lambda: None


class LiveConfig:
    """What is written and what runs. Thread-safe: changes wait for one another.

    Args:
        path: the main file.
        environ: for `${NAME}`.
        report: of the check at the start, without findings.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], report: CheckReport) -> None:
        if report.written is None:
            raise ValueError("a configuration without findings has been written")
        self.path = path
        self.current: tuple[Config, Written] = report.require(), report.written
        """What runs, and what is written of it: both of one moment."""
        self._environ = environ
        self._node: LiveNode | None = None
        self._around_reload: Callable[[], AbstractContextManager[None]] = nullcontext
        self._lock = threading.Lock()
        self._state = "starts"
        self._refused: tuple[str, list[str]] | None = None

    @property
    def config(self) -> Config:
        """What runs."""
        return self.current[0]

    @property
    def written(self) -> Written:
        """What is written of it."""
        return self.current[1]

    @property
    def folder(self) -> Path | None:
        """The folder of more streams."""
        return None if self.config.streams_dir is None else Path(self.config.streams_dir)

    def attach(
        self, node: LiveNode, around_reload: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Say what runs the streams, and what to do around a reload."""
        self._node, self._around_reload = node, around_reload

    def open(self) -> None:
        """Take changes from now on: the node has started."""
        self._state = "runs"

    def close(self) -> None:
        """Take no more changes: the node stops."""
        self._state = "stops"

    def reload(self) -> Outcome:
        """Read all files again, and go over to what they say.

        Raises:
            ConfigError: they have findings.
            RestartNeededError: they differ in keys that only a restart can change.
            FramelaneError: what they ask for can't be had. In all cases nothing has changed.
        """
        # A service manager that is told of the end of a reload takes a daemon that still starts for ready.
        with self._around_reload() if self._state == "runs" else nullcontext():
            return self._try(_RELOAD, self._read)

    def reread(self) -> Outcome:
        """Read the folder again, and nothing else; raises as `reload` does."""
        return self._try(_FOLDER, self._read_folder)

    def edit(self, make: Callable[[Written], Edit]) -> Outcome:
        """Go over to what `make` makes of what is written; it is called while no other change can come between.

        Raises:
            FramelaneError: as `reload` does, or what `make` raises.
        """
        return self._try(_HTTP, lambda: make(self.written))

    def _read(self) -> Edit:
        written = read_config(self.path, self._environ)
        return Edit(written, written)

    def _read_folder(self) -> Edit:
        written = self.written.with_entries(entry for entry in self.written.entries if not entry.place.file)
        folder = self.folder
        self._refuse_without(folder)
        if folder is not None:
            written = written.and_also(*read_dropins(folder, len(written.entries)))
        return Edit(written, written)

    @staticmethod
    def _refuse_without(folder: Path | None) -> None:
        if folder is not None and not folder.is_dir():  # unmounted for a moment, rather than meant so
            text = f"the folder has gone, and its streams go on without it: {folder}"
            raise ConfigError([Finding("streams_dir", text)])

    def _try(self, cause: str, make: Callable[[], Edit]) -> Outcome:
        began_s = time.monotonic()
        with self._lock:
            try:
                if self._node is None or self._state != "runs":
                    raise ConflictError(f"the daemon {self._state}; try again when it runs")
                edit = make()
                # What the files say must do for a start too; a daemon that runs may be left without a stream.
                config = self._checked(edit.written, needs_streams=cause != _HTTP)
                in_folder = any(entry.place.file for entry in self.written.entries)
                if cause == _RELOAD and in_folder and config.streams_dir == self.config.streams_dir:
                    self._refuse_without(self.folder)
                outcome = self._go_over(self._node, config, edit, cause, began_s)
            except FramelaneError as error:
                self._log_refusal(cause, error)
                raise
            self._refused = None
        log.info("config_applied", cause=cause, added=outcome.added, changed=outcome.changed,
                 removed=outcome.removed, took_ms=round(outcome.took_s * 1e3, 1))  # fmt: skip
        return outcome

    def _log_refusal(self, cause: str, error: FramelaneError) -> None:
        """Say what is wrong; of the same once more, when it was tried again, nothing."""
        findings = [str(each) for each in error.findings] if isinstance(error, ConfigError) else [str(error)]
        refused, self._refused = self._refused, (cause, findings)
        if self._refused == refused and cause == _FOLDER:
            return
        say = log.warning if cause == _HTTP else log.error
        say("config_refused", cause=cause, kind=type(error).__name__, findings=findings)

    def _checked(self, written: Written, *, needs_streams: bool) -> Config:
        base_dir = self.path.absolute().parent
        report = check_written(written, base_dir, self._environ, self.path, needs_streams=needs_streams)
        return report.require()

    def _go_over(self, node: LiveNode, config: Config, edit: Edit, cause: str, began_s: float) -> Outcome:
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
        if cause == _RELOAD:  # and not after each of many edits: cameras lock accounts
            node.retry()
        return Outcome(
            added=tuple(stream.id for stream in changes.added),
            changed=tuple(stream.id for stream in changes.changed),
            removed=changes.removed,
            took_s=time.monotonic() - began_s,
        )
