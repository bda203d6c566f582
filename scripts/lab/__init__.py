"""Benchmarks and soak runs against real neighbors; part of the repository, not of the package."""
