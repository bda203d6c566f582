"""Check that our RTSP reader gets exactly FFmpeg's pictures from the same server, byte for byte.

    python scripts/check_readers.py                               # every server that is installed, over TCP
    python scripts/check_readers.py --servers gst --transport udp
    FRAMELANE_NEIGHBOURS=~/bin python scripts/check_readers.py --servers mediamtx ffmpeg go2rtc

Both readers open their own session at the same time. "ffmpeg" is FFmpeg's RTSP muxer, which publishes through
mediamtx. Needs a checkout, because the tests' helpers start the servers. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from tests.neighbours.certificates import make_certificates
from tests.neighbours.clips import ClipShape
from tests.neighbours.rtsp_clips import CLIPS, make_clip
from tests.neighbours.rtsp_readers import Truth, compare, read_both
from tests.neighbours.rtsp_servers import SERVERS, NeighbourMissingError, Show

from framelane.core.errors import SourceError
from framelane.sources.rtsp.errors import UnsupportedError

if TYPE_CHECKING:
    from tests.neighbours.rtsp_readers import Transport
    from tests.neighbours.rtsp_servers import Auth

LOGINS: dict[str, tuple[Auth, ...]] = {
    "demo": ("basic", "digest"),
    "gst": ("basic", "digest"),
    "mediamtx": ("digest",),
}
TCP_ALONE = frozenset({"aio", "go2rtc"})
COLUMNS = (
    "server",
    "clip",
    "transport",
    "login",
    "ours",
    "FFmpeg's",
    "missing",
    "unknown",
    "damaged",
    "differing",
    "FFmpeg's missing",
    "",
)
"""Columns of the table. A differing picture is not the same, byte for byte, with both readers."""


class Case(NamedTuple):
    """One server with one clip."""

    server: str
    clip: str
    show: Show
    transport: Transport

    @property
    def names(self) -> tuple[str, str, str, str]:
        """Return server, clip, transport and login for the table."""
        login = self.show.auth + (" + audio" if self.show.audio else "")
        return self.server, self.clip, "rtsps" if self.show.pem else self.transport, login


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--servers", nargs="+", choices=sorted(SERVERS), default=sorted(SERVERS))
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=sorted(CLIPS))
    parser.add_argument("--transport", choices=("tcp", "udp", "rtsps"), default="tcp")
    parser.add_argument("--frames", type=int, default=100, help="pictures of each clip, at 25 per second")
    return parser.parse_args()


def make_pem(folder: Path) -> Path:
    """Write a certificate for loopback and its key into one file."""
    makings, both = make_certificates(folder), folder / "server.pem"
    both.write_text(
        "".join(Path(makings.file(f"good.{part}")).read_text("ascii") for part in ("key", "crt")), "ascii"
    )
    return both


def cases(arguments: argparse.Namespace, folder: Path, pem: Path | None) -> list[Case]:
    """Return every server with every clip; logins and audio only with the first clip."""
    shape = ClipShape(640, 352, arguments.frames, 25)
    transport: Transport = "udp" if arguments.transport == "udp" else "tcp"
    found: list[Case] = []
    servers = [one for one in arguments.servers if arguments.transport == "tcp" or one not in TCP_ALONE]
    for server, clip in itertools.product(servers, arguments.clips):
        path, codec = make_clip(folder, clip, shape), CLIPS[clip].codec
        plain = Show(path, codec, pem=pem)
        found.append(Case(server, clip, plain, transport))
        if clip == arguments.clips[0]:
            logins = [replace(plain, auth=auth) for auth in LOGINS.get(server, ())]
            sounds = [replace(plain, audio=True)] if server == "gst" else []
            found += [Case(server, clip, show, transport) for show in (*logins, *sounds)]
    return found


def row(case: Case, seconds: float) -> tuple[bool, tuple[str, ...]]:
    """Run a case; return whether it passed, and its row of the table."""
    truth = Truth(case.show.clip, case.show.codec)
    try:
        with SERVERS[case.server](case.show) as running:
            ours, theirs = read_both(running.url, truth, len(truth), seconds, case.transport)
            found = compare(truth, ours, theirs, whole=running.whole)
    except NeighbourMissingError as error:
        return True, (*case.names, *[""] * 7, f"skipped: {error}")
    except UnsupportedError as error:
        return False, (*case.names, *[""] * 7, f"left to FFmpeg: {error}")
    except (SourceError, av.FFmpegError) as error:
        return False, (*case.names, *[""] * 7, f"failed: {type(error).__name__}: {error}")
    figures = (
        found.ours,
        found.theirs,
        found.missing,
        found.unknown,
        found.damaged,
        found.differing,
        found.lost_by_ffmpeg,
    )
    return found.same, (*case.names, *map(str, figures), "same" if found.same else "DIFFERS")


def main() -> None:
    """Run all cases and print the table."""
    arguments = parse_arguments()
    table, well = Table(*COLUMNS), True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pem = make_pem(folder) if arguments.transport == "rtsps" else None
        for case in cases(arguments, folder, pem):
            print(*case.names, file=sys.stderr, flush=True)
            good, cells = row(case, seconds=arguments.frames / 25 + 15)
            well &= good
            table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
