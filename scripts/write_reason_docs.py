"""Write the tables of reasons in docs/operations.md and docs/metrics.md from the code; `--check` only compares."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.core.drop_reasons import CROPS, DROPS, LOSSES
from framelane.core.stream_reasons import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framelane.core.drop_reasons import Fate

DOCS = Path(__file__).resolve().parent.parent / "docs"
END = "<!-- end -->"


def main() -> int:
    """Update the files, or with `--check` exit with 1 if one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    stale = [path for path in PAGES if path.read_text(encoding="utf-8") != output(path)]
    for path in stale:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(DOCS.parent)}")
        if not check:
            path.write_text(output(path), encoding="utf-8")
    return int(check and bool(stale))


def output(path: Path) -> str:
    """Return what a file should hold."""
    text = path.read_text(encoding="utf-8")
    for name, table in PAGES[path].items():
        begin = f"<!-- begin: {name}, written by scripts/write_reason_docs.py -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(END), re.DOTALL)
        # A function, so that backslashes in the table stay.
        text = pattern.sub(lambda _, new=f"{begin}\n{table}\n{END}": new, text)  # type: ignore[misc]
    return text


def _stream_table() -> str:
    rows = "\n".join(
        f"| `{reason}` | {states} | {happened} | {remedy} |"
        for reason, (states, happened, remedy) in MEANINGS.items()
        if states
    )
    return f"| reason | state | what happened | what to look at |\n|---|---|---|---|\n{rows}"


def _fate_table(what: str, fates: Iterable[tuple[str, Fate]]) -> str:
    rows = "\n".join(f"| `{reason}` | {happened} | {remedy} |" for reason, (happened, remedy) in fates)
    return f"| `reason` | {what} | What to do |\n|---|---|---|\n{rows}"


PAGES = {
    DOCS / "operations.md": {"stream reasons": _stream_table()},
    DOCS / "metrics.md": {
        "drops": _fate_table("The frame", DROPS.items()),
        "crops": _fate_table("The crop", CROPS.items()),
        "losses": _fate_table("The message", LOSSES.items()),
    },
}


if __name__ == "__main__":
    sys.exit(main())
