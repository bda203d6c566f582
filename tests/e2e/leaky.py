"""`framelane run CONFIG` where opening the stream `leaky` fails with a text that holds all that the stream has to hide.

So do exceptions of FFmpeg, paho and others now and then: what comes after must not count on their discretion.
"""

from __future__ import annotations

import sys
from typing import Any

from framelane.cli import main
from framelane.sources.camera import CameraWorker

_open = CameraWorker._open


def leak(self: CameraWorker) -> Any:
    if self._config.id == "leaky":
        raise RuntimeError(f"can't open {self._url} with {self._config.ffmpeg}")
    return _open(self)


if __name__ == "__main__":
    CameraWorker._open = leak  # type: ignore[method-assign]
    sys.argv = ["framelane", "run", sys.argv[1]]
    main()
