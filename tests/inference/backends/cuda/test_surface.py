"""The pixel format of a picture on the GPU, from what each PyAV tells; DLPack is PyAV's own, on pictures of the CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import av
import pytest

from framelane.inference.backends.cuda.surface import surface_format


class Refused:
    """A plane of a format that PyAV 17 doesn't export."""

    def __dlpack__(self) -> Any:
        raise NotImplementedError("unsupported sw_format for DLPack export")


@pytest.mark.parametrize("name", ["nv12", "p010le", "yuv444p"])
def test_format_is_what_pyav_says(name: str) -> None:
    picture: Any = SimpleNamespace(sw_format=SimpleNamespace(name=name))
    assert surface_format(picture, ()) == name


@pytest.mark.parametrize(("name", "expected"), [("nv12", "nv12"), ("p010le", "p016le"), ("p016le", "p016le")])
def test_format_is_read_from_dlpack_when_pyav_does_not_say(name: str, expected: str) -> None:
    planes = av.VideoFrame(64, 48, name).planes
    picture: Any = SimpleNamespace()
    assert surface_format(picture, planes) == expected


@pytest.mark.parametrize("picture", [SimpleNamespace(), SimpleNamespace(sw_format=None)])
def test_format_is_unknown_when_the_picture_is_not_exported(picture: Any) -> None:
    planes: Any = [Refused()]
    assert surface_format(picture, planes) is None
