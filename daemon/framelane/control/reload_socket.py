"""The Unix socket through which `framelane reload` makes a running daemon reload and gets the outcome.

The request is one line, the reply one line of JSON. The socket's name is derived from the path of the
configuration, so both sides find it whatever the file contains. Its mode limits it to the daemon's user.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from framelane.core.errors import ConfigError, Finding, FramelaneError
from framelane.core.redact import redact
from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.control.changes import ChangeOutcome

log = structlog.get_logger(__name__)

RELOAD = b"reload"
_ACCEPT_TIMEOUT_S = 5.0
_TALK_TIMEOUT_S = 5.0
_MOST_BYTES = 64


class ControlSocket(Worker):
    """Serves one caller at a time."""

    def __init__(self, config: Path, environ: Mapping[str, str], reload: Callable[[], ChangeOutcome]) -> None:
        super().__init__("control")
        self._name = socket_name(config)
        self._environ = environ
        self._reload = reload
        self._socket: socket.socket | None = None
        self._path: Path | None = None

    def start(self) -> None:
        """Listen; if no folder is usable, log that only SIGHUP can reload this daemon."""
        for folder in own_folders(self._environ):
            try:
                self._socket = _listen(folder, folder / self._name)
            except OSError as error:
                log.debug("control_folder", folder=str(folder), error=str(error))
                continue
            self._path = folder / self._name
            super().start()
            return
        log.warning("control_unavailable", text="`framelane reload` can't reach this process; SIGHUP can")

    def run_once(self) -> None:
        """Answer the next caller, if one connects in time."""
        if self._socket is None:
            return
        try:
            caller, _ = self._socket.accept()
        except TimeoutError:
            return
        with caller:
            caller.settimeout(_TALK_TIMEOUT_S)
            # The caller may be gone.
            with contextlib.suppress(OSError):
                if caller.recv(_MOST_BYTES).strip() == RELOAD:
                    caller.sendall(orjson.dumps(self._answer(), option=orjson.OPT_APPEND_NEWLINE))

    def wake(self) -> None:
        """End the wait for a caller by connecting and sending nothing."""
        if self._path is not None and self.alive:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(self._path))

    def ended(self) -> None:
        """Close and delete the socket."""
        if self._socket is not None:
            self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _answer(self) -> dict[str, Any]:
        try:
            outcome = self._reload()
        except FramelaneError as error:
            findings = error.findings if isinstance(error, ConfigError) else [Finding("", str(error))]
            return {
                "exit_code": error.exit_code,
                "findings": [[each.path, redact(each.message), each.file, each.line] for each in findings],
            }
        return {
            "exit_code": 0,
            "added": outcome.added,
            "changed": outcome.changed,
            "reopened": outcome.reopened,
            "removed": outcome.removed,
            "took_s": outcome.took_s,
        }


def ask_to_reload(config: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Make the daemon that runs `config` reload it, and wait for the answer without a time limit.

    Raises:
        FramelaneError: There is no such daemon, or it ended before it answered.
    """
    name = socket_name(config)
    for folder in known_folders(environ):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(folder / name))
            except PermissionError as error:
                raise FramelaneError(
                    f"this user may not use the daemon's socket {folder / name}; "
                    "run the command as the daemon's user or as root"
                ) from error
            except OSError:
                continue
            try:
                connection.sendall(RELOAD + b"\n")
                with connection.makefile("rb") as answer:
                    reply = answer.readline()
            except ConnectionError:
                reply = b""
        if not reply:
            raise FramelaneError("the daemon ended before it answered; see its log")
        decoded: dict[str, Any] = orjson.loads(reply)
        return decoded
    raise FramelaneError(
        f"no daemon of this user runs {config} on this host; give the path that `framelane run` got"
    )


def socket_name(config: Path) -> str:
    """Return the name of a configuration's socket.

    It comes from the path as given: links are not resolved, because Kubernetes changes those of a volume.
    """
    return f"{hashlib.sha256(os.fsencode(config.absolute())).hexdigest()[:16]}.sock"


def own_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return where a daemon may put its socket, best first: RuntimeDirectory=, the session's, its own."""
    folders = [Path(path) for path in environ.get("RUNTIME_DIRECTORY", "").split(":") if path]
    if environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(environ["XDG_RUNTIME_DIR"]) / "framelane")
    return [*folders, Path(tempfile.gettempdir()) / f"framelane-{os.getuid()}"]


def known_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return where to look for a daemon's socket; in /run too, as a shell doesn't know RuntimeDirectory=."""
    run = Path("/run")
    return [*own_folders(environ), *sorted(run.glob("framelane*")), *sorted(run.glob("framelane*/*/"))]


def _listen(folder: Path, path: Path) -> socket.socket:
    """Return a listening socket that only its owner may use.

    Raises:
        OSError: The socket can't be created in this folder.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and listener.connect_ex(str(path)) == 0:
            raise FileExistsError(f"another daemon answers at {path}")
        path.unlink(missing_ok=True)
        # Before bind(): Linux creates the file with this mode.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(_ACCEPT_TIMEOUT_S)
    except OSError:
        listener.close()
        raise
    return listener
