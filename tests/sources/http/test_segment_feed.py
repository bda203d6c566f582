"""The thread that follows a live playlist: what it fetches, how far ahead, and what ends it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.sources.http.web import Answer, hls, playlist, serving
from tests.waiting import wait_until

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.http.client import HttpClient
from framelane.sources.http.segment_feed import SegmentFeed, load_media, load_text
from framelane.sources.http.shown_segments import ShownSegments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.sources.http.web import Web

PATIENT = StreamOptions.model_validate({"read_timeout_s": 30.0})
QUICK = StreamOptions.model_validate({"read_timeout_s": 1.0})
WAIT_S = 20.0


class Server:
    """A playlist that a test writes, and segments that hold their own names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bodies: dict[str, Answer] = {}

    def answer(self, path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            return hls(self.text)
        name = path.rpartition("/")[2]
        return self.bodies.get(name, Answer(name.encode()))


@contextmanager
def following(
    server: Server, shown: ShownSegments | None = None, options: StreamOptions = PATIENT
) -> Iterator[tuple[SegmentFeed, Web]]:
    with serving(server.answer) as web:
        url = f"{web.url}/live.m3u8"
        client = HttpClient(url, options)
        first = load_media(client, url, options)
        feed = SegmentFeed(client, url, first, shown or ShownSegments(), options, SystemClock(), "hls-cam")
        feed.start()
        try:
            yield feed, web
        finally:
            feed.stop()
            feed._thread.join(WAIT_S)
            assert not feed._thread.is_alive()


def taken(feed: SegmentFeed, count: int) -> list[str]:
    """The names of the next segments; a star where one can't be demuxed with the one before."""
    found = []
    for _ in range(count):
        piece = feed.peek(WAIT_S)
        assert piece is not None
        feed.take()
        found.append(piece.data.decode() + "*" * piece.begins)
    return found


def end_of(feed: SegmentFeed) -> SourceError:
    wait_until(lambda: feed.ended)
    assert feed.fault is not None
    return feed.fault


def test_segments_come_in_order_from_three_before_the_end_on() -> None:
    server = Server(playlist(range(8), target_s=0.2))
    with following(server) as (feed, web):
        assert taken(feed, 3) == ["s5.ts*", "s6.ts", "s7.ts"]
        assert not feed.renewed
        server.text = playlist(range(3, 10), target_s=0.2)
        assert taken(feed, 2) == ["s8.ts", "s9.ts"]
        assert feed.renewed
        assert (feed.peek(0.0), feed.ended, web.hits["/s8.ts"]) == (None, False, 1)


def test_segment_after_a_hole_or_a_discontinuity_begins_a_part() -> None:
    server = Server(playlist(range(3), before={1: "#EXT-X-DISCONTINUITY"}, target_s=0.2))
    with following(server) as (feed, _):
        assert taken(feed, 3) == ["s0.ts*", "s1.ts*", "s2.ts"]
        server.text = playlist(range(2, 6), before={3: "#EXT-X-GAP"}, target_s=0.2)
        assert taken(feed, 2) == ["s4.ts*", "s5.ts"]


def test_fetching_stops_some_segments_ahead_and_goes_on_when_one_is_taken() -> None:
    """A server that lists more at once than is ever fetched ahead."""
    server = Server(playlist(range(3), target_s=0.2))
    with following(server) as (feed, web):
        for end in range(9, 50, 6):
            server.text = playlist(range(end - 6, end), target_s=0.2)
            wait_until(lambda end=end: web.hits[f"/s{end - 1}.ts"] == 1 or feed.ahead_s >= 6.0)  # type: ignore[misc]
        ahead = len(feed._pieces)
        assert ahead == 12
        assert feed.ahead_s == ahead * 0.5
        feed.take()
        wait_until(lambda: len(feed._pieces) == ahead)


def test_head_is_fetched_once_for_all_segments_that_share_it() -> None:
    server = Server(playlist(range(3), before={0: '#EXT-X-MAP:URI="init.mp4"'}, target_s=0.2))
    server.bodies["init.mp4"] = Answer(b"head")
    with following(server) as (feed, web):
        heads = []
        for _ in range(3):
            piece = feed.peek(WAIT_S)
            assert piece is not None
            heads.append(piece.head)
            feed.take()
        assert (heads, web.hits["/init.mp4"]) == ([b"head"] * 3, 1)


@pytest.mark.parametrize("ranges", [True, False], ids=["served", "ignored"])
def test_part_of_a_file_is_cut_out_if_the_server_does_not(*, ranges: bool) -> None:
    server = Server(playlist(range(2), target_s=0.2))
    server.text = re.sub(r"s\d.ts", "all.ts", server.text)
    server.text = server.text.replace("#EXTINF:0.5,", "#EXT-X-BYTERANGE:3@2\n#EXTINF:0.5,", 1)
    server.text = server.text.replace("all.ts\n#EXTINF:0.5,", "all.ts\n#EXT-X-BYTERANGE:2\n#EXTINF:0.5,", 1)

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            return hls(server.text)
        start, end = map(int, re.findall(r"\d+", headers["range"]))
        whole = b"0123456789"
        return Answer(whole[start : end + 1], status=206) if ranges else Answer(whole)

    server.answer = answer  # type: ignore[assignment,method-assign] # of this server only
    with following(server) as (feed, _):
        assert taken(feed, 2) == ["234*", "56"]


def test_segment_that_is_gone_is_passed_over_and_the_third_in_a_row_ends_it() -> None:
    server = Server(playlist(range(3), target_s=0.2))
    server.bodies["s1.ts"] = Answer(status=404)
    with following(server) as (feed, _):
        assert taken(feed, 2) == ["s0.ts*", "s2.ts*"]
        server.bodies = {f"s{number}.ts": Answer(status=404) for number in (3, 5, 6, 7, 8)}
        server.text = playlist(range(2, 6), target_s=0.2)
        assert taken(feed, 1) == ["s4.ts*"]
        assert feed.fault is None
        server.text = playlist(range(6, 9), target_s=0.2)
        assert end_of(feed).reason == "not-found"


def test_segment_that_breaks_off_is_lost() -> None:
    server = Server(playlist(range(3), target_s=0.2))
    server.bodies = {f"s{number}.ts": Answer(b"half", length=8) for number in range(3)}
    with following(server) as (feed, _):
        fault = end_of(feed)
    assert (fault.reason, str(fault)) == ("lost", "the server breaks off in the middle of a segment")


def test_playlist_that_ends_says_so_after_its_segments() -> None:
    server = Server(playlist(range(2), target_s=0.2) + "#EXT-X-ENDLIST\n")
    with following(server) as (feed, _):
        assert end_of(feed).reason == "ended"
        assert taken(feed, 2) == ["s0.ts*", "s1.ts"]


def test_playlist_that_stands_still_ends_after_the_read_timeout_and_is_remembered() -> None:
    shown = ShownSegments()
    with following(Server(playlist(range(2), target_s=0.2)), shown, QUICK) as (feed, _):
        assert end_of(feed).reason == "unchanged"
    assert shown.unchanged


def test_playlist_may_fail_twice_in_a_row_and_no_more() -> None:
    server = Server(playlist(range(2), target_s=0.2))
    failures = 0

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        nonlocal failures
        if path.endswith(".m3u8") and failures:
            failures -= 1
            return Answer(status=500)
        return Server.answer(server, path, headers)

    server.answer = answer  # type: ignore[assignment,method-assign] # of this server only
    with following(server) as (feed, _):
        failures = 2
        wait_until(lambda: not failures)
        server.text = playlist(range(3), target_s=0.2)
        assert taken(feed, 3)[-1] == "s2.ts"
        failures = 1000
        assert end_of(feed).reason == "rejected"


def test_date_tells_how_old_a_segment_is() -> None:
    """By its date the oldest segment was taken two segments, which are a second, before the playlist's end."""
    date = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T09:00:00Z"
    server = Server(playlist(range(2), before={0: date}, target_s=0.2))
    with following(server) as (feed, _):
        first = feed.peek(WAIT_S)
        assert first is not None
        feed.take()
        second = feed.peek(WAIT_S)
        assert second is not None
    assert first.age_s is not None
    assert second.age_s == pytest.approx(first.age_s, abs=0.01)
    assert first.age_s == pytest.approx(feed._loaded_at - 1_795_338_000 - 1.0, abs=0.01)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"#EXTM3U\n", length=100), "lost"),
        (Answer(status=404), "not-found"),
    ],
)
def test_playlist_that_can_not_be_fetched_says_why(answer: Answer, reason: str) -> None:
    with serving(lambda _path, _headers: answer) as web:
        client = HttpClient(web.url, PATIENT)
        with pytest.raises(SourceError) as found:
            load_text(client, f"{web.url}/live.m3u8", PATIENT)
    assert found.value.reason == reason
