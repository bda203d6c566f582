"""Keeps detections on disk while the broker does not accept them."""
