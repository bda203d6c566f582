"""What `framelane rules test` says: a line per event, then counts beside the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.measure.report import Section, figures_section, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from framelane.core.events import Event
    from framelane.measure.hota import Hota
    from framelane.measure.rules.counts import RuleCount

_COLUMNS = ("time", "kind", "rule", "direction", "object", "label", "dwell")


@dataclass(frozen=True, slots=True)
class RulesReport:
    """What happened in a clip.

    Attributes:
        stream: id of the stream.
        clip: the clip.
        frames: its frames.
        inferred: those that were inferred; `fps` leaves out the others.
        seconds: from its first to its last frame.
        events: what happened, in order; times are seconds since the first frame.
        counts: how often each rule fired.
        hota: HOTA by label; None without ground truth.
        last_true_frame: the last frame that the ground truth names, from 1; 0 without ground truth.
    """

    stream: str
    clip: str
    frames: int
    inferred: int
    seconds: float
    events: tuple[Event, ...]
    counts: tuple[RuleCount, ...]
    hota: Mapping[str, Hota] | None
    last_true_frame: int

    @property
    def remark(self) -> str:
        """What is odd about the ground truth, in a sentence; empty if nothing is."""
        if self.last_true_frame <= self.frames:
            return ""
        return (
            f"the ground truth goes on to frame {self.last_true_frame}, but the clip ends with frame {self.frames}; "
            "is it the truth of this clip?"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        whole = {name: getattr(self, name) for name in ("stream", "clip", "frames", "inferred", "seconds")}
        truth = (
            {} if self.hota is None else {"hota": {label: asdict(each) for label, each in self.hota.items()}}
        )
        counts = [asdict(each) | {"error": each.error} for each in self.counts]
        return {**whole, "counts": counts, **truth, "events": [event_dict(event) for event in self.events]}

    def sections(self) -> tuple[Section, ...]:
        """Return tables of the counts and, with ground truth, of HOTA."""
        columns = ("rule", "what", "count", "labels")
        if self.hota is None:
            return (Section("Counts", columns, tuple(map(_count_row, self.counts))),)
        rows = tuple((*_count_row(each), str(each.true), f"{each.error:+d}") for each in self.counts)
        scores = {
            f"{label}: HOTA (detection, association)": f"{number(100 * each.hota)} "
            f"({number(100 * each.detection)}, {number(100 * each.association)})"
            for label, each in self.hota.items()
        }
        return (
            Section("Counts", (*columns, "true", "error"), rows),
            figures_section("Tracks against the ground truth, percent", scores),
        )


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON values; times are seconds since the first frame."""
    found = event.object
    fields: dict[str, Any] = {
        "at_s": round(event.at, 3),
        "kind": event.kind,
        "rule": event.rule,
        "direction": event.direction,
        "object": _object(event),
        "label": found.label,
        "since_s": None if event.since is None else round(event.since, 3),
        "dwell_s": _dwell_s(event),
        "reason": event.reason,
        "box": [round(value, 1) for value in found.xyxy],
    }
    return {name: value for name, value in fields.items() if value is not None}


class EventLines:
    """Lines of a table whose rows come one by one.

    Args:
        rules: names of the stream's rules.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self._widths = (9, 10, max(map(len, ("rule", *rules))), 9, 8, 12, 7)
        self._begun = False

    def lines(self, event: Event) -> str:
        """Return the line of an event, below the names of the columns if it is the first."""
        heading = "" if self._begun else f"{self._line(_COLUMNS)}\n"
        self._begun = True
        return heading + self._row(event)

    def _row(self, event: Event) -> str:
        dwell_s = _dwell_s(event)
        return self._line(
            (
                _clock_text(event.at),
                event.kind,
                event.rule or "",
                event.direction or event.reason or "",
                _object(event),
                event.object.label,
                "" if dwell_s is None else f"{dwell_s:.1f} s",
            )
        )

    def _line(self, cells: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True)).rstrip()


def _object(event: Event) -> str:
    """Return what tells an object from the stream's others: its number, with its model unless that is the first."""
    return event.object.id.split("/", 3)[3]


def _dwell_s(event: Event) -> float | None:
    """Return the seconds that an object has been in a zone, or was in view when it ended."""
    if event.kind in ("zone_exit", "loiter") and event.since is not None:
        return round(event.at - event.since, 3)
    return round(event.at - event.object.since, 3) if event.kind == "end" else None


def _clock_text(at_s: float) -> str:
    """Return minutes, seconds and hundredths."""
    minutes, hundredths = divmod(round(at_s * 100), 6000)
    return f"{minutes:d}:{hundredths / 100:05.2f}"


def _count_row(count: RuleCount) -> tuple[str, ...]:
    what = count.what.removeprefix("zone_")
    labels = ", ".join(f"{number_} {label}" for label, number_ in count.labels.items())
    return count.rule, what, str(count.count), labels or "-"
