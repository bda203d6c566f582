"""Inference on a GPU: what `gpu/` offers, put together for a model."""
