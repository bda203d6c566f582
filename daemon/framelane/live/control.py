"""The socket through which `framelane reload` asks a running daemon, and hears how it went.

One line comes in, one JSON line goes out. The socket's name follows from the path of the configuration, so that both
sides find it whatever the file holds; who may write to it is a matter of its mode.
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

    from framelane.live.changes import Outcome

log = structlog.get_logger(__name__)

RELOAD = b"reload"
_LOOK_S = 5.0
_TALK_S = 5.0
_MOST_BYTES = 64


class ControlSocket(Worker):
    """Answers one caller after another."""

    def __init__(self, config: Path, environ: Mapping[str, str], reload: Callable[[], Outcome]) -> None:
        super().__init__("control")
        self._name = socket_name(config)
        self._environ = environ
        self._reload = reload
        self._socket: socket.socket | None = None
        self._path: Path | None = None

    def start(self) -> None:
        """Listen; where no folder can be had, only signals reach the daemon, and the log says so."""
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
        """Answer the next caller, if one comes soon."""
        if self._socket is None:
            return
        try:
            caller, _ = self._socket.accept()
        except TimeoutError:
            return
        with caller:
            caller.settimeout(_TALK_S)
            with contextlib.suppress(OSError):  # the caller is gone
                if caller.recv(_MOST_BYTES).strip() == RELOAD:
                    caller.sendall(orjson.dumps(self._answer(), option=orjson.OPT_APPEND_NEWLINE))

    def wake(self) -> None:
        """End the wait for a caller, as one who says nothing."""
        if self._path is not None and self.alive:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(self._path))

    def ended(self) -> None:
        """Take the socket away."""
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
            "removed": outcome.removed,
            "took_s": outcome.took_s,
        }


def ask_to_reload(config: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Have the daemon that runs `config` read it again, and wait for its answer, however long that takes.

    Raises:
        FramelaneError: there is no such daemon, or it went away before it answered.
    """
    name = socket_name(config)
    for folder in known_folders(environ):
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(str(folder / name))
            except PermissionError as error:
                raise FramelaneError(
                    f"this user may not talk to the daemon at {folder / name}; be the daemon's user, or root"
                ) from error
            except OSError:
                continue
            line.sendall(RELOAD + b"\n")
            with line.makefile("rb") as answer:
                reply = answer.readline()
        if not reply:
            raise FramelaneError("the daemon ended before it answered; see its log")
        decoded: dict[str, Any] = orjson.loads(reply)
        return decoded
    raise FramelaneError(
        f"no daemon runs {config} on this host for this user; give the path that `framelane run` was given"
    )


def socket_name(config: Path) -> str:
    """The socket of a configuration; of its path as it is named, for a volume in Kubernetes is all moving links."""
    return f"{hashlib.sha256(os.fsencode(config.absolute())).hexdigest()[:16]}.sock"


def own_folders(environ: Mapping[str, str]) -> list[Path]:
    """Where a daemon may put its socket, the best first: systemd's RuntimeDirectory=, the session's, its own."""
    folders = [Path(path) for path in environ.get("RUNTIME_DIRECTORY", "").split(":") if path]
    if environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(environ["XDG_RUNTIME_DIR"]) / "framelane")
    return [*folders, Path(tempfile.gettempdir()) / f"framelane-{os.getuid()}"]


def known_folders(environ: Mapping[str, str]) -> list[Path]:
    """Where to look for a daemon's socket; a shell doesn't know the RuntimeDirectory= of a unit."""
    run = Path("/run")
    return [*own_folders(environ), *sorted(run.glob("framelane*")), *sorted(run.glob("framelane*/*/"))]


def _listen(folder: Path, path: Path) -> socket.socket:
    """A socket that its owner alone may use; raises OSError where there can't be one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and listener.connect_ex(str(path)) == 0:
            raise FileExistsError(f"another daemon answers at {path}")
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)  # before bind(): Linux makes the file with this mode
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(_LOOK_S)
    except OSError:
        listener.close()
        raise
    return listener
