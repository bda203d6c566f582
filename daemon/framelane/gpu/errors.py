"""Translates CUDA's errors: some cost a batch, others end this process's use of the GPU."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from framelane.core.errors import FramelaneError
from framelane.gpu.libcuda import error_name, error_text

if TYPE_CHECKING:
    from types import TracebackType

OUT_OF_MEMORY = 2

TEXTS = {
    2: "out of memory",
    214: "uncorrectable ECC error encountered",
    220: "uncorrectable NVLink error detected during the execution",
    226: "Invalid access of peer GPU memory over nvlink or a hardware error",
    700: "an illegal memory access was encountered",
    702: "the launch timed out and was terminated",
    709: "context is destroyed",
    710: "device-side assert triggered",
    714: "hardware stack error",
    715: "an illegal instruction was encountered",
    716: "misaligned address",
    717: "operation not supported on global/shared address space",
    718: "invalid program counter",
    719: "unspecified launch failure",
    721: "tensor memory not completely freed",
    810: "MPS client has been terminated by the server",
    911: "external device error",
    999: "unknown error",
}
"""Texts of cuGetErrorString, the only thing that PyCUDA passes on. The driver's own texts take precedence."""

STICKY = frozenset(TEXTS) - {OUT_OF_MEMORY}
"""After these errors the context, and so the process, can't use the GPU any more.

cuda.h says of 226, 700, 702, 714 to 719, 721 and 911 "To continue using CUDA, the process must be terminated
and relaunched", and the same of 810. Of 709 and 710 it says that the context is gone or can't be used.
NVIDIA's Xid documentation says of uncorrectable ECC (214) and NVLink (220) errors that the application must
be restarted. A GPU that fell off the bus gives 999 (unknown). A restart costs seconds; going on without a GPU
costs every batch.
"""


class GpuError(FramelaneError):
    """An operation on the GPU failed; its batch is lost."""


class OutOfMemoryError(GpuError):
    """The GPU's memory, or the host memory that can be pinned, is full."""


class DeviceLostError(FramelaneError):
    """The GPU's context can't be used any more; only a new process can use the GPU."""

    exit_code = 70
    ends_at_once = True


class cuda_errors:  # noqa: N801 - used as `with cuda_errors("..."):`, on the hot path
    """Turns PyCUDA's errors within a block into Framelane's; `doing` tells in the message what was tried."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> Literal[False]:
        """Raise the translated error, if it is one of PyCUDA's."""
        if kind is not None and error is not None and _is_pycudas(kind):
            raise _translated(self._doing, str(error)) from error
        return False


def raise_for(code: int, doing: str) -> None:
    """Raise the error for a CUresult; 0 is success."""
    if code:
        said = error_text(code) or TEXTS.get(code, "")
        raise _made(code, f"{doing}: {said or 'failed'} ({error_name(code)}, {code})")


def code_of(message: str) -> int | None:
    """Return the CUresult behind a PyCUDA message such as `cuMemAlloc failed: out of memory`, if it matters.

    PyCUDA keeps no code, only cuGetErrorString's text, and may add a log after ` - `.
    """
    said = message.partition(" failed: ")[2]
    found = [text for text in _codes() if said == text or said.startswith(f"{text} - ")]
    return _codes()[max(found, key=len)] if found else None


@cache
def _codes() -> dict[str, int]:
    ours = {text: code for code, text in TEXTS.items()}
    return ours | {text: code for code in TEXTS if (text := error_text(code))}


def _translated(doing: str, message: str) -> FramelaneError:
    return _made(code_of(message), f"{doing}: {message}")


def _made(code: int | None, message: str) -> FramelaneError:
    if code in STICKY:
        return DeviceLostError(f"the GPU is lost to this process: {message}")
    return OutOfMemoryError(message) if code == OUT_OF_MEMORY else GpuError(message)


def _is_pycudas(kind: type[BaseException]) -> bool:
    """Return whether an exception type is PyCUDA's, without importing it.

    They all come from its extension module.
    """
    return any(base.__module__.partition(".")[0] == "pycuda" for base in kind.__mro__)
