"""From pictures to detections: models, their heads, and the batches that feed them."""
