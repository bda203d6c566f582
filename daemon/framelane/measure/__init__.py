"""Measures a machine: decoder alone, model alone, the whole pipeline, and other processes."""
