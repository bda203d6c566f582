"""Snapshots and clips of events, and the folder that keeps them."""
