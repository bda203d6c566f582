"""Every reason for which a frame is not inferred, a result not published, or a message not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DropReason = Literal["fps", "late", "replaced", "decode", "damaged", "failed", "stopping"]
"""Why a frame was not inferred."""

CropReason = Literal["busy", "late", "failed", "stopping"]
"""Why a second model says nothing about a tracked object's crop."""

LeftOutReason = Literal["empty", "rate"]
"""Why a result was not published: without objects (`publish.empty`), over `publish.max_rate`."""

LossReason = Literal["queue", "size", "age", "expired", "corrupt", "refused", "stopped"]
"""Why a published message was given up."""


class Fate(NamedTuple):
    """What a reason means, in Markdown.

    Attributes:
        happened: continues "The frame ..." or "The message ...".
        remedy: what to do; empty if there is nothing.
    """

    happened: str
    remedy: str


DROPS: Mapping[DropReason, Fate] = {
    "fps": Fate("was over the stream's `fps` limit", "nothing, as configured"),
    "late": Fate(
        "was skipped before decoding, or was decoded too late, to stay on time",
        "the host lacks decoding capacity: see [operations](operations.md#late)",
    ),
    "replaced": Fate(
        "was replaced by a newer one of its stream while it waited for a batch",
        "the host lacks inference capacity: lower `fps`, use a smaller model or a faster backend",
    ),
    "decode": Fate(
        "could not be decoded, such as a JPEG without an end", "look for packet loss and camera faults"
    ),
    "damaged": Fate(
        "lacks a packet, or depends on a damaged or missing frame ([damaged](operations.md#damaged))",
        "look for packet loss; try `transport: tcp`",
    ),
    "failed": Fate("was in a batch whose inference failed", "see the log"),
    "stopping": Fate("came after the daemon began to stop; frames that waited are still inferred", "nothing"),
}

CROPS: Mapping[CropReason, Fate] = {
    "busy": Fate(
        "was not even cut: within `deadline_s` the second model had no room, or the first one replaced frames",
        "the host lacks inference capacity for that many objects: raise `every_s`, narrow `on`, use a smaller model",
    ),
    "late": Fate(
        "got its answer later than `deadline_s` after it was cut", "the same, or raise `deadline_s`"
    ),
    "failed": Fate("was in a batch whose inference failed", "see the log"),
    "stopping": Fate("was cut when the daemon began to stop", "nothing"),
}

LOSSES: Mapping[LossReason, Fate] = {
    "queue": Fate(
        "was the oldest of more than `mqtt.queue` in memory: the spool is off, can't be used, or its disk is slower "
        "than the results",
        "look at `mqtt_spool_up` and the log",
    ),
    "size": Fate(
        "was the oldest when the spool reached `mqtt.spool.max_bytes`",
        "enlarge the spool, or shorten the broker's outages",
    ),
    "age": Fate("waited longer than `mqtt.spool.max_age_s`", ""),
    "expired": Fate("waited longer than `mqtt.expiry_s`", ""),
    "corrupt": Fate("was in a damaged spool", "check the disk; see [operations](operations.md#the-spool)"),
    "refused": Fate("was rejected by the broker", "see the log: access rules, packet size"),
    "stopped": Fate(
        "could neither be delivered nor spooled when the process ended", "raise `node.shutdown_s`"
    ),
}
