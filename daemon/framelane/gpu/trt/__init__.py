"""TensorRT: the differences between its versions; building, running and describing engines."""
