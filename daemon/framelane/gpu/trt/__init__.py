"""TensorRT: what differs between its versions, building, running and describing engines."""
