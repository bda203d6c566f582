"""Batches frames and runs models on them."""
