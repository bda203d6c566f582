"""Turns images as a display matrix or EXIF says, the way players show them."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av.filter import Graph
from av.sidedata.sidedata import Type

from framelane.media.exif import UPRIGHT

if TYPE_CHECKING:
    import av

# libavfilter's filters by EXIF orientation.
_FILTERS: dict[int, tuple[tuple[str, str], ...]] = {
    2: (("hflip", ""),),
    3: (("hflip", ""), ("vflip", "")),
    4: (("vflip", ""),),
    5: (("transpose", "cclock_flip"),),
    6: (("transpose", "clock"),),
    7: (("transpose", "clock_flip"),),
    8: (("transpose", "cclock"),),
}
# Orientation by the (x, y) directions, in the shown image, of a step right and a step down in the stored one.
_MATRICES = {
    (1, 0, 0, 1): UPRIGHT,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_BY_ANGLE = {0: UPRIGHT, 90: 8, 180: 3, 270: 6}
_QUARTER = 90
_NO_TIME_BASE = Fraction(1, 1000)
_SIDE = 16
_SQUARE = {"yuv422p10le": "yuv444p10le"}
# libavutil/display.h: rows of three, in the host's byte order.
_MATRIX = struct.Struct("=9i")


def display_orientation(frame: av.VideoFrame) -> int:
    """Return the EXIF orientation of a frame's display matrix; 1 if it has none.

    Angles are rounded to quarter turns.
    """
    try:
        # Any, because the stub has other keys.
        sides: Any = frame.side_data
    except ValueError:
        # PyAV up to 18 doesn't know EXIF side data and then returns none at all, but `rotation` still works.
        return _BY_ANGLE[round(frame.rotation / _QUARTER) * _QUARTER % 360]
    matrix = sides.get(Type.DISPLAYMATRIX)
    return UPRIGHT if matrix is None else _of_matrix(bytes(matrix))


def _of_matrix(data: bytes) -> int:
    if len(data) < _MATRIX.size:
        return UPRIGHT
    right_x, right_y, _, down_x, down_y, *_ = _MATRIX.unpack_from(data)
    if abs(right_x) >= abs(right_y):
        steps = (_sign(right_x), 0, 0, _sign(down_y))
    else:
        steps = (0, _sign(right_y), _sign(down_x), 0)
    return _MATRICES.get(steps, UPRIGHT)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


class Turner:
    """Turns the frames of one stream; use it from one thread at a time.

    libavfilter's graph is kept as long as size, format and orientation stay the same.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._kind: tuple[int, str, int, int] | None = None

    def turn(self, frame: av.VideoFrame, orientation: int) -> av.VideoFrame:
        """Return the frame as it is to be shown, with its times and colors; itself if it is upright."""
        if orientation not in _FILTERS:
            return frame
        frame = _turnable(frame)
        kind = (orientation, frame.format.name, frame.width, frame.height)
        if self._graph is None or kind != self._kind:
            self._graph, self._kind = _graph(frame, orientation), kind
        self._graph.vpush(frame)
        turned = self._graph.vpull()
        turned.pts = frame.pts
        if frame.time_base:
            turned.time_base = frame.time_base
        turned.colorspace, turned.color_range = frame.colorspace, frame.color_range
        return turned


def _turnable(frame: av.VideoFrame) -> av.VideoFrame:
    """Make chroma subsampling equal in both directions; libavfilter would do it with other colors."""
    own = frame.format
    if own.is_rgb or own.has_palette or own.chroma_width(_SIDE) == own.chroma_height(_SIDE):
        return frame
    return frame.reformat(format=_SQUARE.get(own.name, "yuv444p"))


def _graph(frame: av.VideoFrame, orientation: int) -> Graph:
    graph = Graph()
    # libavfilter's default is a thread per core for each graph.
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or _NO_TIME_BASE,
    )
    steps = [source, *(graph.add(name, argument or None) for name, argument in _FILTERS[orientation])]
    steps.append(graph.add("buffersink"))
    graph.link_nodes(*steps).configure()
    return graph
