"""From pictures to detections: models, their heads, and the batches that feed them."""

import os

# ONNX Runtime (1.32 does) reports its use to its maker, on a thread of its own, unless this stands before its import.
# A daemon that watches cameras talks to those that its configuration names, and to nobody else.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
