"""The table of stream reasons in the code is complete, and the one in the documentation is made of it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import framelane
import write_reason_docs
from framelane.core.drop_reasons import DROPS, LOSSES, DropReason, LossReason
from framelane.core.stream_reasons import MEANINGS, StreamReason

PACKAGE = Path(framelane.__file__).parent


def test_every_reason_has_a_meaning() -> None:
    assert list(MEANINGS) == list(get_args(StreamReason))


def test_the_documentation_holds_what_the_generator_writes() -> None:
    for page in write_reason_docs.PAGES:
        assert page.read_text(encoding="utf-8") == write_reason_docs.output(page)


def test_every_fate_of_a_frame_and_a_message_has_a_meaning() -> None:
    assert list(DROPS) == list(get_args(DropReason))
    assert list(LOSSES) == list(get_args(LossReason))


def test_every_error_of_a_source_has_a_documented_reason() -> None:
    used = {
        call.args[0].value
        for path in (PACKAGE / "sources").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "SourceError"
        and isinstance(call.args[0], ast.Constant)
    }
    assert used
    assert used <= set(MEANINGS)
