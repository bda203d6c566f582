"""A camera that says something damaged ends in a SourceError, or is left to FFmpeg; scripts/fuzz_rtsp.py tries more."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz.rtsp_mutants import Mutant, Seeds, answers_in, load_seeds, make_mutant, opening
from tests.fuzz.rtsp_trial import run_mutant
from tests.neighbours.clips import ClipShape
from tests.neighbours.rtsp_clips import make_clip

from framelane.sources.rtsp.sdp import find_video

DATA = Path(__file__).parents[1] / "data/rtsp"
MUTANTS = 1000
SLOWEST_S = 2.0
PARAMETER_SETS = {"h264": (7, 8), "hevc": (32, 33, 34), "mjpeg": ()}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    shape, folder = ClipShape(320, 240, 25, 25), tmp_path_factory.mktemp("seeds")
    return load_seeds(
        DATA, [make_clip(folder, name, shape) for name in ("h264-slices", "hevc-bframes", "mjpeg")]
    )


def test_reader_survives_damaged_servers(seeds: Seeds) -> None:
    outcomes = [run_mutant(make_mutant(seeds, 2, number)) for number in range(MUTANTS)]
    reasons = {outcome.reason for outcome in outcomes}
    # It would prove nothing if none of them got far.
    assert {"closed", "invalid", "lost", "unsupported", "unauthorized"} <= reasons
    assert sum(outcome.units for outcome in outcomes) > 100
    assert max(outcome.took_s for outcome in outcomes) < SLOWEST_S


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_reader_plays_undamaged_seeds_to_their_end(seeds: Seeds, codec: str) -> None:
    outcome = run_mutant(Mutant("packet", (opening(codec),), seeds.films[codec]))
    assert (outcome.reason, outcome.units) == ("closed", 25)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.txt")), ids=lambda path: path.stem)
def test_description_of_a_real_server_is_understood(path: Path) -> None:
    described = next(one for one in answers_in(path.read_bytes()) if b"m=video" in one)
    found = find_video(described.partition(b"\r\n\r\n")[2])
    assert found is not None
    codec = found.video.codec
    assert codec in path.stem
    kinds = [
        nal[0] >> 1 if codec == "hevc" else nal[0] & 31
        for nal in found.video.extradata.split(b"\0\0\0\1")[1:]
    ]
    assert tuple(kinds) == PARAMETER_SETS[codec]


@pytest.mark.parametrize("path", sorted(DATA.glob("*.txt")), ids=lambda path: path.stem)
def test_handshake_with_a_real_server_is_repeated(path: Path) -> None:
    """What a server has said in answer to our requests is enough to play."""
    outcome = run_mutant(Mutant("answer", (path.read_bytes(),)))
    assert outcome.reason == "closed"
