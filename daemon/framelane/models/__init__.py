"""From images to detections: models, their heads, and the batches that feed them."""

import os

# ONNX Runtime (1.32 does) sends usage data to its maker, on its own thread, unless this is set before its
# import. A daemon that watches cameras talks only to hosts that its configuration names.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
