"""Each segment is shown once, over reloads, reconnects, signed addresses and servers that count again."""

from __future__ import annotations

from framelane.sources.http.playlist import Resource, Segment
from framelane.sources.http.shown_segments import ShownSegments, segment_names


def listed(first: int, *addresses: str) -> list[Segment]:
    return [
        Segment(Resource(f"http://cam/{address}"), first + index, 1.0, breaks=False)
        for index, address in enumerate(addresses)
    ]


def shown(published: ShownSegments, segments: list[Segment], content: str = "") -> list[int]:
    """The numbers of what is shown; a segment's bytes are its path unless they are given."""
    names = segment_names(segments)
    return [
        each.sequence
        for each in published.unseen(segments)
        if published.is_new(
            each, f"{content or each.resource.url.partition('?')[0]}".encode(), names[each.sequence]
        )
    ]


def test_first_connection_begins_three_segments_from_the_end() -> None:
    assert shown(ShownSegments(), listed(10, "a", "b", "c", "d", "e")) == [12, 13, 14]


def test_segments_are_shown_once_while_the_playlist_moves_on() -> None:
    published = ShownSegments()
    assert shown(published, listed(0, "a", "b", "c")) == [0, 1, 2]
    assert shown(published, listed(0, "a", "b", "c")) == []
    assert shown(published, listed(1, "b", "c", "d", "e")) == [3, 4]
    assert shown(published, listed(2, "c", "d", "e", "f", "g", "h", "i")) == [5, 6, 7, 8]


def test_who_has_fallen_far_behind_goes_on_near_the_end() -> None:
    published = ShownSegments()
    shown(published, listed(0, "a"))
    assert shown(published, listed(1, *"bcdefghijk")) == [8, 9, 10]


def test_addresses_that_are_signed_anew_each_time_are_the_same_segments() -> None:
    published = ShownSegments()
    assert shown(published, listed(0, "a?sig=1", "b?sig=2")) == [0, 1]
    assert published.unseen(listed(0, "a?sig=3", "b?sig=4")) == []


def test_addresses_that_are_all_new_are_the_same_segments_if_they_hold_the_same_bytes() -> None:
    published = ShownSegments()
    assert shown(published, listed(0, "x1/a", "x1/b"), "same") == [0, 1]
    assert shown(published, listed(0, "x2/a", "x2/b"), "same") == []


def test_server_that_counts_again_is_shown_from_its_new_begin() -> None:
    published = ShownSegments()
    assert shown(published, listed(50, "s50", "s51")) == [50, 51]
    assert shown(published, listed(0, "s0", "s1")) == [0, 1]
    assert shown(published, listed(1, "s1", "s2")) == [2]


def test_server_that_counts_again_with_the_same_names_is_shown() -> None:
    published = ShownSegments()
    assert shown(published, listed(0, "s0", "s1", "s2"), "before") == [0, 1, 2]
    assert shown(published, listed(0, "s0", "s1"), "after") == [0, 1]


def test_segments_of_one_name_are_told_apart_by_their_query() -> None:
    """As those of go2rtc, whose next session counts from 0 again."""
    published = ShownSegments()
    names = segment_names(listed(0, "s.ts?id=A&n=0", "s.ts?id=A&n=1"))
    assert names[0] != names[1]
    assert shown(published, listed(0, "s.ts?id=A&n=0", "s.ts?id=A&n=1"), "first") == [0, 1]
    assert len(published.unseen(listed(0, "s.ts?id=B&n=0", "s.ts?id=B&n=1"))) == 2


def test_segment_with_a_higher_number_is_new_whatever_it_holds() -> None:
    """A server may well play a film in a circle."""
    published = ShownSegments()
    assert shown(published, listed(0, "a"), "film") == [0]
    assert shown(published, listed(1, "b"), "film") == [1]
