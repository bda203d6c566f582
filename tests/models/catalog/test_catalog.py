"""Catalogs: what the package's own promises, and every mistake in an operator's, with key and line."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ConfigError
from framelane.core.redact import redact
from framelane.models.catalog.catalog import entry_of, read_catalogs

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("yolox-nano", "yolox-tiny", "yolox-s", "rf-detr-nano", "d-fine-n", "d-fine-s", "d-fine-m")
GOOD = """
mine:
  file: mine.onnx
  url: https://models.example/mine.onnx
  size: 1000
  sha256: 0000000000000000000000000000000000000000000000000000000000000000
  license: MIT
  settings: {labels: [a, b], confidence: 0.5}
"""
# SPDX ids of licenses that permit use, change and sale without copyleft.
PERMISSIVE = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"}


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "catalog.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_catalogs([file], {})
    return [str(finding).removeprefix(f"{tmp_path}/") for finding in caught.value.findings]


def test_the_packages_models_are_permissive_pinned_and_encrypted() -> None:
    catalog = read_catalogs([], {})
    assert tuple(catalog) == NAMES
    assert {entry.license for entry in catalog.values()} <= PERMISSIVE
    assert all(entry.url.startswith("https://") for entry in catalog.values())
    assert len({entry.sha256 for entry in catalog.values()}) == len(catalog)
    assert len({entry.file for entry in catalog.values()}) == len(catalog)


def test_an_operators_catalog_adds_models_and_replaces_addresses(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    mirror = GOOD.replace("mine:", "yolox-s:").replace("mine.onnx", "yolox_s.onnx")
    file.write_text(GOOD + mirror)
    catalog = read_catalogs([file], {})
    assert tuple(catalog) == (*NAMES, "mine")
    assert catalog["yolox-s"].url == "https://models.example/yolox_s.onnx"
    assert catalog["mine"].settings == {"labels": ["a", "b"], "confidence": "0.5"}
    ModelConfig.model_validate({"path": "x", **catalog["mine"].settings})


def test_the_password_of_a_mirror_comes_from_the_environment_and_is_masked(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(GOOD.replace("https://", "https://user:${MIRROR_PW}@"))
    entry = read_catalogs([file], {"MIRROR_PW": "hunter/2 hunter"})["mine"]
    assert entry.url == "https://user:hunter%2F2%20hunter@models.example/mine.onnx"
    assert redact(f"{entry.url} hunter/2 hunter") == "https://user:***@models.example/mine.onnx ***"
    assert entry.shown()["url"] == "https://user:***@models.example/mine.onnx"


@pytest.mark.parametrize(("old", "new", "expected"), [
    ("mine.onnx\n", "../mine.onnx\n", "catalog.yaml:3: mine.file: has a wrong value; expected the name that the file gets: letters, digits, `.`, `_` and `-`, ending in .onnx"),
    ("file: mine.onnx\n", "file: mine.pt\n", "catalog.yaml:3: mine.file: has a wrong value; expected the name that the file gets: letters, digits, `.`, `_` and `-`, ending in .onnx"),
    ("https:", "ftp:", "catalog.yaml:4: mine.url: has a wrong value; expected the https:// or http:// address of the file"),
    ("https://models.example", "file://", "catalog.yaml:4: mine.url: has a wrong value; expected the https:// or http:// address of the file"),
    ("https://models.example", "https://[::1", "catalog.yaml:4: mine.url: has a wrong value; expected the https:// or http:// address of the file"),
    ("models.example", "${MIRROR}", "catalog.yaml:4: mine.url: the environment has no variable `MIRROR`; set it, or write `${MIRROR:-fallback}`"),
    ("1000", "0", "catalog.yaml:5: mine.size: has a wrong value; expected the bytes of the file, above 0"),
    ("1000", "1 MB", "catalog.yaml:5: mine.size: has a wrong value; expected the bytes of the file, above 0"),
    ("sha256: 0", "sha256: ", "catalog.yaml:6: mine.sha256: has a wrong value; expected the file's SHA-256, 64 hex digits in lower case"),
    ("  license: MIT\n", "", "catalog.yaml:2: mine.license: is missing; expected the file's license, as an SPDX id if there is one"),
    ("license:", "licence:", "catalog.yaml:7: mine.licence: unknown key `licence`; did you mean `license`?"),
    ("confidence: 0.5", "confidence: 2", "catalog.yaml:8: mine.settings.confidence: has a wrong value; expected a number from 0 to 1"),
    ("confidence: 0.5", "confidense: 0.5", "catalog.yaml:8: mine.settings.confidense: unknown key `confidense`; did you mean `confidence`?"),
    ("confidence: 0.5", "path: x", "catalog.yaml:8: mine.settings.path: is where the file is saved; remove it"),
    ("{labels: [a, b], confidence: 0.5}", "[a]", "catalog.yaml:8: mine.settings: has a wrong value; expected a map of keys of the model's section, without `path`"),
    ("mine:", "my model:", 'catalog.yaml:2: ["my model"]: expected a name of letters, digits, `.`, `_` or `-`'),
    ("license:", "file: b.onnx\n  license:", "catalog.yaml:3: mine.file: duplicate key, on lines 3 and 7"),
])  # fmt: skip
def test_a_mistake_is_reported_with_key_and_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert expected in faults(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(("text", "expected"), [
    ("- a\n", ["catalog.yaml:1: expected a map of names, each with a map of `file`, `url`, `size`, `sha256` ..."]),
    ("mine: text\n", ["catalog.yaml:1: mine: expected a map of names, each with a map of `file`, `url`, `size`, `sha256` ..."]),
    ("mine: [a", ["catalog.yaml:1: expected `,` or `]` to continue or end the list (column 9)"]),
])  # fmt: skip
def test_a_file_of_another_form_is_reported(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(tmp_path, text) == expected


def test_an_empty_catalog_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_catalogs([tmp_path / "empty.yaml"], {}) == read_catalogs([], {})


def test_a_catalog_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_catalogs([tmp_path / "none.yaml"], {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_catalogs([tmp_path / "binary.yaml"], {})


def test_an_unknown_name_suggests_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError) as caught:
        entry_of(read_catalogs([], {}), "yolox_nano")
    assert str(caught.value) == (
        "unknown model `yolox_nano`; did you mean `yolox-nano`?; see `framelane model list`"
    )
