"""What is read out of HLS playlists."""

from __future__ import annotations

import pytest

from framelane.core.errors import SourceError
from framelane.sources.http.playlist import ByteRange, Resource, parse_date, parse_media, parse_variants

URL = "http://cam/live/all.m3u8?token=1"


def test_segments_have_their_numbers_addresses_and_marks() -> None:
    found = parse_media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:41\n\n#EXTINF:5.96,a title\na.ts\n"
        "#EXT-X-DISCONTINUITY\n#EXTINF:6,\n/top/b.ts?x=2\r\n#EXT-X-GAP\n#EXTINF:2\nhttps://other/c.ts\n",
        URL,
    )
    assert (found.target_s, found.ended, found.encrypted) == (6.0, False, False)
    assert [each.sequence for each in found.segments] == [41, 42, 43]
    assert [each.resource.url for each in found.segments] == [
        "http://cam/live/a.ts",
        "http://cam/top/b.ts?x=2",
        "https://other/c.ts",
    ]
    assert [each.duration_s for each in found.segments] == [5.96, 6.0, 2.0]
    assert [each.breaks for each in found.segments] == [False, True, False]
    assert [each.missing for each in found.segments] == [False, False, True]


def test_dates_reach_segments_without_one_up_to_a_discontinuity() -> None:
    found = parse_media(
        "#EXTM3U\n#EXTINF:9,\nz\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\na\n#EXT-X-PROGRAM-DATE-TIME:2026-11-29T10:00:00.500Z\n#EXTINF:2,\nb\n#EXTINF:2.5,\nc\n"
        "#EXTINF:2,\nd\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\ne\n",
        URL,
    )
    first = 1795946400.5
    assert [each.date for each in found.segments] == [None, first - 2, first, first + 2, first + 4.5, None]


def test_ranges_follow_one_another_and_have_a_head() -> None:
    found = parse_media(
        '#EXTM3U\n#EXT-X-MAP:URI="all.mp4",BYTERANGE="600@0"\n#EXT-X-BYTERANGE:1000@600\n#EXTINF:2,\nall.mp4\n'
        "#EXT-X-BYTERANGE:500\n#EXTINF:2,\nall.mp4\n",
        URL,
    )
    head = Resource("http://cam/live/all.mp4", ByteRange(600, 0))
    assert [each.head for each in found.segments] == [head, head]
    assert [each.resource.part for each in found.segments] == [ByteRange(1000, 600), ByteRange(500, 1600)]
    assert ByteRange(500, 1600).header == "bytes=1600-2099"


@pytest.mark.parametrize(("line", "encrypted"), [("METHOD=NONE", False), ('METHOD=AES-128,URI="k"', True)])
def test_encryption_and_end_are_seen(line: str, encrypted: bool) -> None:  # noqa: FBT001
    found = parse_media(f"\ufeff#EXTM3U\n#EXT-X-KEY:{line}\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n", URL)
    assert (found.encrypted, found.ended) == (encrypted, True)


def test_variants_are_told_apart() -> None:
    found = parse_variants(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="a.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=192000,CODECS="mp4a.40.2"\nsound.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.4d401e,mp4a.40.2"\nlow/v.m3u8\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=2500000\n/high.m3u8\n",
        URL,
    )
    assert [each.url for each in found] == [
        "http://cam/live/sound.m3u8",
        "http://cam/live/low/v.m3u8",
        "http://cam/high.m3u8",
    ]
    assert [each.sound for each in found] == [True, False, False]
    assert [str(each) for each in found[1:]] == ["640x360, 0.8 Mbit/s", "2.5 Mbit/s"]


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("2026-11-29T10:00:00Z", 1795946400.0),
        ("2026-11-29T10:00:00.123456789Z", 1795946400.123456789),
        ("2026-11-29T12:00:00.5+02:00", 1795946400.5),
        ("2026-11-29T04:30:00-0530", 1795946400.0),
        ("2026-11-29T10:00:00", 1795946400.0),
        ("2026-13-29T10:00:00Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_date_is_read(text: str, unix_s: float | None) -> None:
    assert parse_date(text) == (None if unix_s is None else pytest.approx(unix_s, abs=1e-6))


@pytest.mark.parametrize("text", ["", "<html>", "#EXTINF:1,\na.ts"])
def test_what_is_no_playlist_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="not an HLS playlist"):
        parse_media(text, URL)
