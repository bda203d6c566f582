"""Which of CUDA's errors cost a batch, and which the process."""

from __future__ import annotations

import pytest
from tests.gpu.fake_cuda import CudaMemoryError, Error, LaunchError, LogicError

from framelane.core.errors import FramelaneError
from framelane.gpu.errors import DeviceLostError, GpuError, OutOfMemoryError, code_of, cuda_errors, raise_for

MESSAGES = [
    (CudaMemoryError("cuMemAlloc failed: out of memory"), OutOfMemoryError, 2),
    (LaunchError("cuStreamSynchronize failed: unspecified launch failure"), DeviceLostError, 719),
    (
        LogicError("cuStreamSynchronize failed: an illegal memory access was encountered"),
        DeviceLostError,
        700,
    ),
    (LaunchError("cuEventSynchronize failed: the launch timed out and was terminated"), DeviceLostError, 702),
    (LogicError("cuCtxPushCurrent failed: context is destroyed"), DeviceLostError, 709),
    (LogicError("cuEventSynchronize failed: device-side assert triggered"), DeviceLostError, 710),
    (LogicError("cuEventSynchronize failed: hardware stack error"), DeviceLostError, 714),
    (LogicError("cuEventSynchronize failed: an illegal instruction was encountered"), DeviceLostError, 715),
    (LogicError("cuLaunchKernel failed: misaligned address"), DeviceLostError, 716),
    (
        LogicError("cuLaunchKernel failed: operation not supported on global/shared address space"),
        DeviceLostError,
        717,
    ),
    (LogicError("cuLaunchKernel failed: invalid program counter"), DeviceLostError, 718),
    (Error("cuEventQuery failed: unknown error"), DeviceLostError, 999),
    (Error("cuEventQuery failed: uncorrectable ECC error encountered"), DeviceLostError, 214),
    (LogicError("cuModuleLoadDataEx failed: unspecified launch failure - ptxas info"), DeviceLostError, 719),
    (LogicError("cuModuleLoadDataEx failed: a PTX JIT compilation failed - out of memory"), GpuError, None),
    (LogicError("cuLaunchKernel failed: invalid argument"), GpuError, None),
    (LaunchError("cuLaunchKernel failed: too many resources requested for launch"), GpuError, None),
    (LogicError("no colon at all"), GpuError, None),
]


@pytest.mark.parametrize(("error", "kind", "code"), MESSAGES, ids=lambda value: str(value)[:50])
def test_pycudas_errors_become_ours(error: Error, kind: type[FramelaneError], code: int | None) -> None:
    assert code_of(str(error)) == code
    with pytest.raises(FramelaneError) as caught, cuda_errors("waiting"):
        raise error
    assert type(caught.value) is kind
    assert f"waiting: {error}" in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("other"), MemoryError(), KeyboardInterrupt()])
def test_other_errors_pass_as_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, cuda_errors("waiting"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, GpuError), (2, OutOfMemoryError), (700, DeviceLostError), (719, DeviceLostError), (999, DeviceLostError),
     (701, GpuError), (600, GpuError), (901, GpuError), (46, GpuError), (12345, GpuError)],
)  # fmt: skip
def test_raw_codes_become_ours(code: int, kind: type[FramelaneError]) -> None:
    with pytest.raises(FramelaneError, match=rf"copying: .*\b{code}\)") as caught:
        raise_for(code, "copying")
    assert type(caught.value) is kind


def test_success_raises_nothing() -> None:
    raise_for(0, "copying")


def test_a_lost_gpu_ends_the_process_with_70_at_once() -> None:
    assert (DeviceLostError.exit_code, DeviceLostError.ends_at_once) == (70, True)
    assert (GpuError.exit_code, GpuError.ends_at_once) == (1, False)
