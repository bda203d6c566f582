"""Whether this host has a GPU to test on, and why not."""

from __future__ import annotations

import pytest

from framelane.gpu.availability import why_absent, why_no_nvdec

needs_gpu = pytest.mark.skipif(why_absent() is not None, reason=why_absent() or "")
needs_nvdec = pytest.mark.skipif(why_no_nvdec() is not None, reason=why_no_nvdec() or "")
