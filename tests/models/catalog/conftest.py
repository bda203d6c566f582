"""A web server with one file, for the tests of downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.models.catalog.file_server import CONTENT, FileServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(CONTENT) as running:
        yield running
