"""Run embedded RTSP cameras in a separate process, so that a benchmark can account for their CPU.

    python scripts/fake_cameras.py --clip a.mp4 --cameras 8 --port 8554 --print-urls

The clips are distributed over the paths cam00, cam01, ... SIGTERM or SIGINT ends it with one JSON line: CPU
seconds, wall seconds, and frames sent and dropped by each camera.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from framelane.demo.rtsp import CameraSpec, RtspServer


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Loop clips as live RTSP cameras until SIGTERM.")
    parser.add_argument(
        "--clip", type=Path, action="append", required=True, help="clip to loop; may be given several times"
    )
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8554, help="port; 0 takes a free one")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--auth", choices=("basic", "digest"), default="digest")
    parser.add_argument(
        "--phase-s", type=float, default=0.37, help="offset of each camera from the previous one"
    )
    parser.add_argument(
        "--print-urls", action="store_true", help="print one URL per line before anything else"
    )
    return parser.parse_args()


def camera_specs(arguments: argparse.Namespace) -> list[CameraSpec]:
    """Return the cameras of the command line: cam00, cam01, ..."""
    return [
        CameraSpec(
            path=f"cam{number:02d}",
            clip=arguments.clip[number % len(arguments.clip)],
            username=arguments.user,
            password=arguments.password,
            auth=arguments.auth,
            phase_s=number * arguments.phase_s,
        )
        for number in range(arguments.cameras)
    ]


def main() -> None:
    """Serve until SIGTERM or SIGINT, then report."""
    arguments = parse_arguments()
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    specs = camera_specs(arguments)
    started_s = time.monotonic()
    with RtspServer(specs, host=arguments.host, port=arguments.port) as server:
        if arguments.print_urls:
            print(*(server.url(spec.path) for spec in specs), sep="\n", flush=True)
        print(f"serving {len(specs)} cameras on {arguments.host}:{server.port}", file=sys.stderr, flush=True)
        signal.sigwait(endings)
        stats = server.stats
    usage = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "wall_s": round(time.monotonic() - started_s, 3),
        "max_rss_mb": round(usage.ru_maxrss / 1024, 1),
        "cameras": [asdict(camera) for camera in stats],
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
