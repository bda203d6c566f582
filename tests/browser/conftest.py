from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.browser import CHROMIUM, WITHOUT, Browser

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip(WITHOUT)
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
