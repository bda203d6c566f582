"""The report of the benchmark of a GPU's pipeline: every load tried, and the largest that holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import av

from framelane.measure.errors import BenchError
from framelane.measure.report import Goal, Section, figures_section, goals_section, number
from lab.relief import CALM_S
from lab.spans import TRUE_SHARE, spans_section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from framelane.measure.gpu_use import GpuUse
    from framelane.measure.host import Host
    from lab.daemon_run import DaemonRun
    from lab.relief import Relief
    from lab.rise import Rise
    from lab.soak import Soak
    from lab.startup import StartUp

P95_MS = 150.0
DROPPED = 0.001
# Below 1, because a window's ends cut off a frame of some streams.
SPEED = 0.995
STARTUP_S = 5.0
RSS_SWING = 0.05
GOALS = {"h264": 148, "hevc": 229}


@dataclass(frozen=True, slots=True)
class Feed:
    """The clips that the streams show, all of one codec and rate.

    Attributes:
        clips: the files.
        codec: FFmpeg's name of the codec.
        sizes_wh: the distinct sizes, smallest first.
        fps: frames per second of each clip.
    """

    clips: tuple[Path, ...]
    codec: str
    sizes_wh: tuple[tuple[int, int], ...]
    fps: float

    @staticmethod
    def of(clips: Sequence[Path]) -> Feed:
        """Read codec, size and rate of the clips.

        Raises:
            BenchError: their codecs or rates differ.
        """
        looks = [_look(clip) for clip in clips]
        kinds = {(codec, fps) for codec, _, fps in looks}
        if len(kinds) != 1:
            raise BenchError(f"the clips must have one codec and rate, but have {sorted(kinds)}")
        codec, fps = kinds.pop()
        sizes_wh = sorted({size_wh for _, size_wh, _ in looks})
        return Feed(tuple(clip.resolve() for clip in clips), codec, tuple(sizes_wh), fps)

    def __str__(self) -> str:
        sizes = ", ".join(f"{width}x{height}" for width, height in self.sizes_wh)
        return f"{len(self.clips)} clips {self.codec} {sizes} at {self.fps:g} frames/s"


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the daemon at one load.

    Attributes:
        fps_wanted: results per second at the clips' own speed.
        run: the measurement; None if it failed.
        error: why it failed.
        limit_ms: limit for p95 from capture to publish.
        live: whether cameras are live. If one is too late, the daemon trusts its own clock, which hides
            lateness.
    """

    streams: int
    settings: dict[str, Any]
    fps_wanted: float
    run: DaemonRun | None = None
    gpu: GpuUse | None = None
    error: str = ""
    limit_ms: float = P95_MS
    live: bool = False

    @property
    def dropped(self) -> float:
        """Return the share of frames that were dropped or lost."""
        if self.run is None:
            return 1.0
        results = self.run.fps * self.run.seconds
        gone = self.run.dropped + self.run.missing
        return gone / (results + gone)

    @property
    def speed(self) -> float:
        """Return results and drops per second, divided by the clips' own rate."""
        return self.run.fps / (1 - self.dropped) / self.fps_wanted if self.run else 0.0

    @property
    def p95_ms(self) -> float:
        """Return p95 from capture to publish, in milliseconds."""
        return self.run.publish_ms.p95 if self.run and self.run.publish_ms else float("inf")

    @property
    def holds(self) -> bool:
        """Return whether all goals are met at this load."""
        if self.live and self.run and self.run.rtcp_share < TRUE_SHARE:
            return False
        return self.p95_ms <= self.limit_ms and self.dropped < DROPPED and self.speed >= SPEED

    def cells(self) -> tuple[str, ...]:
        """Return the row for COLUMNS."""
        if self.run is None:
            return (*(["-"] * (len(COLUMNS) - 1)), "FAILED")
        publish = self.run.publish_ms
        return (
            number(self.run.fps),
            f"{self.speed:.2%}",
            f"{self.dropped:.3%}",
            *(
                ("-",) * 3
                if publish is None
                else (number(publish.p50), number(publish.p95), number(publish.p99))
            ),
            number(self.run.arrival_ms.p95 if self.run.arrival_ms else None),
            "yes" if self.holds else "NO",
        )

    def costs(self) -> tuple[str, ...]:
        """Return the row for COSTS."""
        gpu, run = self.gpu, self.run
        if run is None:
            return ("-",) * len(COSTS)
        return (
            number(run.cpu_cores, 2),
            number(sum(run.neighbours_cores.values()), 2),
            number(run.cpu_ms_a_frame, 3),
            number(run.rss_mb, 0),
            *(("-",) * 4 if gpu is None else _gpu_cells(gpu)),
            ", ".join(f"{name} {count}" for name, count in run.decoders.items()),
            number(run.bunching, 2),
            str(run.taken or "-"),
        )

    def fairness(self) -> tuple[str, ...]:
        """Return the row for FAIRNESS."""
        run = self.run
        if run is None:
            return ("-",) * len(FAIRNESS)
        return (
            number(run.slowest_to_fastest, 3),
            ", ".join(f"{reason} {count}" for reason, count in run.reasons.items()) or "none",
            f"{run.rtcp_share:.2%}",
            " / ".join(number(value, 0) for value in (run.rss_first_mb, run.rss_mb, run.rss_last_mb)),
        )

    def times(self) -> tuple[str, ...]:
        """Return the row for TIMES."""
        edges = self.run.edges if self.run else None
        if edges is None:
            return ("-",) * len(TIMES)
        return tuple(number(each) for each in (edges.first_s, edges.live_s, edges.steady_s, edges.stop_s))


FAIRNESS = ("slowest/fastest stream", "drops by reason", "by camera's clock", "RSS MB, first / most / last")
TIMES = ("first result s", "all live s", "steady s", "stop s")
COLUMNS = (
    "results/s",
    "speed",
    "dropped",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "p95 arrival",
    "holds",
)
COSTS = (
    "cores",
    "others",
    "ms/frame",
    "RSS MB",
    "GPU",
    "NVDEC",
    "GPU MB",
    "W",
    "decoders",
    "bunching",
    "taken",
)


def _gpu_cells(gpu: GpuUse) -> tuple[str, str, str, str]:
    memory, power = number(gpu.memory_mb, 0), number(gpu.power_w, 0)
    return f"{gpu.utilization:.0%}", f"{gpu.decoder_utilization:.0%}", memory, power


@dataclass(frozen=True, slots=True)
class GpuPipelineReport:
    """All measurements of a call."""

    host: Host
    command: str
    feed: Feed
    live: bool
    broker: str
    goal: int
    steps: list[Step] = field(default_factory=list)
    best: Step | None = None
    soak: Soak | None = None
    starts: list[StartUp] = field(default_factory=list)
    ceilings: dict[str, float] = field(default_factory=dict)
    mps: bool = False
    p95_ms: float = P95_MS
    rises: list[Rise] = field(default_factory=list)
    relief: Relief | None = None

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals that were measured."""
        goals = []
        if self.steps:
            largest = self.best.streams if self.best else 0
            goals.append(Goal.at_least(f"{self.feed.codec} streams", self.goal, largest))
        if self.starts:
            goals.append(Goal.at_most("start-up after imports", STARTUP_S, self.starts[-1].ready_s, " s"))
        if self.soak:
            goals.append(Goal.at_most("RSS off its median", RSS_SWING, self.soak.rss_mb.swing))
            goals.append(Goal.at_most("results lost", 0, self.soak.missing))
            goals.append(Goal.at_most("frames dropped or lost", DROPPED, self.soak.dropped_share))
            if self.soak.publish_ms:
                goals.append(
                    Goal.at_most("capture to publish p95", self.p95_ms, self.soak.publish_ms.p95, " ms")
                )
        for rise in self.rises:
            live_s = rise.live_s["all"]
            goals.append(
                Goal(f"{rise.what}: all streams live, on time", "at all", live_s, rise.calm_s is not None)
            )
        if self.relief:
            what = f"on time after {self.relief.streams} to {self.relief.left} streams"
            goals.append(Goal.at_most(what, CALM_S, self.relief.calm_s, " s"))
        return tuple(goals)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON, including the shares of the ceilings."""
        steps = [asdict(step) | {"dropped": step.dropped, "speed": step.speed} for step in self.steps]
        body = asdict(self) | {"steps": steps, "goals": [asdict(goal) for goal in self.goals]}
        body["feed"]["clips"] = [clip.name for clip in self.feed.clips]
        return body | {"of_ceilings": self._of_ceilings()}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of all steps, further measurements, and goals."""
        sections = self._steps() if self.steps else []
        figures = {
            f"share of the {name} ceiling": f"{share:.1%}" for name, share in self._of_ceilings().items()
        }
        if self.best and self.best.run:
            run = self.best.run
            figures["slowest/fastest stream"] = number(run.slowest_to_fastest, 3)
            figures |= {f"{name}, cores": number(cores, 2) for name, cores in run.neighbours_cores.items()}
        for start in self.starts:
            figures["imports, s / then to READY, s"] = f"{start.imports_s:.2f} / {start.ready_s:.2f}"
        for each in (self.soak, self.relief, *self.rises):
            figures |= each.cells() if each else {}
        sections += self._over_time()
        if figures:
            sections.append(figures_section(f"The largest load that holds, and more\n{self.host}", figures))
        return (*sections, goals_section(self.goals))

    def _steps(self) -> list[Section]:
        """Return the tables of all loads: results and costs."""
        common = dict(set.intersection(*(set(step.settings.items()) for step in self.steps)))
        feed = f"{self.feed}, {'live RTSP' if self.live else 'files'}{', MPS' if self.mps else ''}"
        names = [
            (_text(dict(step.settings.items() - common.items())), str(step.streams)) for step in self.steps
        ]
        results = [(*name, *step.cells()) for name, step in zip(names, self.steps, strict=True)]
        costs = [(*name, *step.costs()) for name, step in zip(names, self.steps, strict=True)]
        fairness = [(*name, *step.fairness()) for name, step in zip(names, self.steps, strict=True)]
        times = [(*name, *step.times()) for name, step in zip(names, self.steps, strict=True)]
        head = ("settings", "streams")
        return [
            Section(f"{feed}, broker {self.broker}; {_text(common)}", (*head, *COLUMNS), tuple(results)),
            Section(
                "Costs; bunching: 1 if all frames come at once; taken: by interrupts and the hypervisor",
                (*head, *COSTS),
                tuple(costs),
            ),
            Section(
                "Fairness; drops by statistics of the window, whose edges differ by seconds; memory",
                (*head, *FAIRNESS),
                tuple(fairness),
            ),
            Section("Start and stop, from the process's start", (*head, *TIMES), tuple(times)),
        ]

    def _over_time(self) -> list[Section]:
        """Return the tables over time of the best or last step, or of the mode that replaced the steps."""
        shown = self.best or (self.steps[-1] if self.steps else None)
        sections = []
        if shown and shown.run:
            sections.append(spans_section(f"{shown.streams} streams over time", shown.run.spans))
        if self.relief:
            sections.append(spans_section(f"{self.relief.streams} streams", self.relief.before.spans))
            sections.append(
                spans_section(f"{self.relief.left} of them, from the reload on", self.relief.spans)
            )
        sections += [spans_section(f"{rise.what}, over time", rise.spans) for rise in self.rises]
        return sections

    def _of_ceilings(self) -> dict[str, float]:
        if not self.best or not self.best.run:
            return {}
        return {name: self.best.run.fps / rate for name, rate in self.ceilings.items() if rate}


def _text(settings: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(settings.items()))


def _look(clip: Path) -> tuple[str, tuple[int, int], float]:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.name, (stream.width, stream.height), float(stream.average_rate or 0)
