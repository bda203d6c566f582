from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.events.desk import LINE, LOBBY, config_of

from framelane.events.rules import Rule, RuleKey, has_events, rules_of

if TYPE_CHECKING:
    from pathlib import Path

STREET = RuleKey("lobby", "lines", "street")


def rules(folder: Path, **options: Any) -> dict[RuleKey, Rule]:
    return rules_of(config_of(folder, {"lobby": LOBBY | options}))


def test_rules_are_those_of_all_streams_by_kind_and_name(tmp_path: Path) -> None:
    streams = {"lobby": LOBBY, "gate": LOBBY | {"enabled": False, "events": {"reset": "04:00"}}}
    found = rules_of(config_of(tmp_path, streams))
    assert set(found) == {
        key
        for stream in streams
        for key in (RuleKey(stream, "lines", "street"), RuleKey(stream, "zones", "yard"))
    }
    assert found[STREET].labels == ("person", "car")
    assert (found[STREET].reset, found[STREET._replace(stream="gate")].reset) == (None, "04:00")


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ({"anchor": "bottom"}, True),
        ({"max_gap_s": 2.0}, True),
        ({"min_boxes": 1}, True),
        ({"anchor": "top"}, False),
        ({"max_gap_s": 3.0}, False),
        ({"min_boxes": 2}, False),
        ({"classes": ["car"]}, False),
        ({"points": [[0.1, 0.7], [0.9, 0.71]]}, False),
    ],
)
def test_digest_changes_with_the_options_but_not_with_defaults(
    tmp_path: Path, line: dict[str, Any], *, same: bool
) -> None:
    before = rules(tmp_path, lines={"street": LINE})
    after = rules(tmp_path, lines={"street": LINE | line})
    assert (before[STREET].digest == after[STREET].digest) is same


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LOBBY, True),
        ({"track": True, "events": {}}, True),
        ({"track": True}, False),
        ({"events": {}}, False),
        ({}, False),
    ],
)
def test_events_need_tracks_and_a_reason(tmp_path: Path, options: dict[str, Any], *, expected: bool) -> None:
    assert has_events(config_of(tmp_path, {"lobby": options})) is expected
