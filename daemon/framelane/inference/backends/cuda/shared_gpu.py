"""The one GPU that a process uses: opened when the first model needs it, shared by all models."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from framelane.inference.backends.cuda.kernels import ptx

if TYPE_CHECKING:
    from framelane.gpu.device import Device
    from framelane.gpu.module import Kernels


class SharedGpu:
    """A device and our kernels on it, each opened on first use.

    Args:
        index: the GPU's number among those that this process sees.
    """

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self._opening = threading.Lock()
        self._device: Device | None = None
        self._kernels: Kernels | None = None

    @property
    def device(self) -> Device:
        """The device, opened on first use.

        Raises:
            GpuError: the device can't be opened.
        """
        from framelane.gpu.device import Device  # noqa: PLC0415 - needs PyCUDA, which a CPU host lacks

        with self._opening:
            if self._device is None:
                self._device = Device.open(self.index)
            return self._device

    @property
    def kernels(self) -> Kernels:
        """Our kernels, loaded on first use."""
        from framelane.gpu.module import Kernels  # noqa: PLC0415 - needs PyCUDA, which a CPU host lacks

        device = self.device
        with self._opening:
            if self._kernels is None:
                with device.current():
                    self._kernels = Kernels.load(device, ptx())
            return self._kernels

    def close(self) -> None:
        """Close the device, once every model is closed; may be called twice."""
        with self._opening:
            device, kernels, self._device, self._kernels = self._device, self._kernels, None, None
        if kernels is not None:
            kernels.close()
        if device is not None:
            device.close()
