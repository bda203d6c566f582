"""The reasons a stream's state may carry: what happened, and what to check."""

from __future__ import annotations

from typing import Literal, NamedTuple

StreamReason = Literal[
    "starting",
    "opening",
    "ok",
    "late",
    "damaged",
    "model",
    "silent",
    "key-frame",
    "refused",
    "unreachable",
    "timeout",
    "lost",
    "ended",
    "unauthorized",
    "forbidden",
    "not-found",
    "rejected",
    "transport",
    "certificate",
    "reader",
    "unchanged",
    "invalid",
    "protocol",
    "option",
    "no-video",
    "codec",
    "undecodable",
    "missing",
    "permission",
    "busy",
    "finished",
    "worker",
    "disabled",
    "failed",
    "closed",
]


class Meaning(NamedTuple):
    """What a reason means, in Markdown.

    Attributes:
        states: the states it occurs in; empty if only errors carry it.
        happened: what happened.
        remedy: what to check; empty if nothing has to be done.
    """

    states: str
    happened: str
    remedy: str


MEANINGS: dict[StreamReason, Meaning] = {
    "starting": Meaning("connecting", "not opened yet", ""),
    "opening": Meaning("connecting", "being opened", ""),
    "ok": Meaning("live", "frames arrive; the text may hold notes", ""),
    "late": Meaning(
        "live, stalled", "more arrives than this host decodes in time", "[late](operations.md#late)"
    ),
    "damaged": Meaning(
        "live, stalled",
        "pictures are damaged or missing; pictures that depend on them are dropped, or may be smeared",
        "[damaged](operations.md#damaged): packet loss, `transport: tcp`, a shorter GOP",
    ),
    "model": Meaning(
        "live",
        "frames arrive, but a model of the stream fails on every batch",
        "the text names the model and its error; `inference_failed` in the log has the whole error",
    ),
    "silent": Meaning(
        "stalled", "connected, but no picture for twice the picture interval + 4 s", "camera, network"
    ),
    "key-frame": Meaning(
        "connecting, down",
        "`connecting`: data arrives, and the stream waits for a key frame; `down`: none came for a "
        "minute after pictures were skipped, and the stream is opened again",
        "set a shorter GOP (key frame interval) in the camera",
    ),
    "refused": Meaning("down", "nothing listens at that address", "host, port, whether the camera is up"),
    "unreachable": Meaning(
        "down",
        "no route, or the host name does not resolve; the text says which",
        "URL, DNS, network, firewall",
    ),
    "timeout": Meaning(
        "down",
        "no answer within `open_timeout_s`, no data for `read_timeout_s`, or data without video for "
        "twice as long",
        "network; restart a camera that keeps sending no video",
    ),
    "lost": Meaning(
        "down", "the other side closed the connection or ended the stream", "camera restarts, session limits"
    ),
    "ended": Meaning(
        "down",
        "the stream ended while it was opened",
        "the URL; whether the camera or server is just starting",
    ),
    "unauthorized": Meaning(
        "down",
        "the camera requires a login that the URL lacks, rejects the login, or requires an "
        "unsupported kind; the text says which",
        "user name, password, the kinds of login that the camera allows",
    ),
    "forbidden": Meaning("down", "the camera denies this user the stream", "the user's permissions"),
    "not-found": Meaning("down", "the server has no such path", "the path in the URL"),
    "rejected": Meaning(
        "down",
        "the server refuses for another reason, or fails; the text has its answer",
        "session limits; the server's log",
    ),
    "transport": Meaning(
        "down", "the camera does not support RTP over the configured `transport`", "the other `transport`"
    ),
    "certificate": Meaning(
        "down",
        "`tls.verify` is set, and the camera's certificate is not accepted; the text names cause and remedy",
        "[certificates](operations.md#certificates-of-cameras)",
    ),
    "reader": Meaning(
        "down",
        "`reader: native` is set, and Framelane's own reader can't read the stream; the text says why",
        "`reader: auto`",
    ),
    "unchanged": Meaning(
        "down",
        "the server has added nothing to an HLS playlist for 3 target durations, and for "
        "`read_timeout_s` at least",
        "whether the source of that server is running",
    ),
    "invalid": Meaning("down", "the data is not a video stream", "whether the URL leads to a camera"),
    "protocol": Meaning("down", "FFmpeg lacks the URL's protocol", "the scheme of the URL"),
    "option": Meaning("down", "FFmpeg rejects an input option", "the stream's `ffmpeg` section"),
    "no-video": Meaning("down", "the stream has no video, perhaps only audio", "the path in the URL"),
    "codec": Meaning("down", "FFmpeg has no decoder for the video", "set the camera to H.264 or H.265"),
    "undecodable": Meaning(
        "live, stalled, down",
        "pictures arrive that can't be decoded: several in a row (`live`, `stalled`); 250 in a row, "
        "or all for a minute (`down`)",
        "camera firmware, packet loss",
    ),
    "missing": Meaning("down", "the file or device does not exist", "path, cable"),
    "permission": Meaning("down", "this user may not read the file or device", "user, group `video`"),
    "busy": Meaning("down", "another program uses the device", "which one: `fuser -v /dev/video0`"),
    "finished": Meaning("down", "a file has played to its end; not a fault", ""),
    "worker": Meaning(
        "down",
        "the stream's worker process has ended and is started again",
        "the log, from `worker_down` backwards; [several processes](operations.md#several-processes)",
    ),
    "disabled": Meaning("disabled", "`enabled` is false", ""),
    "failed": Meaning("down", "any other fault", "the text, and the log, which has more"),
    "closed": Meaning("", "the stream was stopped while it was opened; only errors carry this reason", ""),
}
