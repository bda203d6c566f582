"""Measures a machine: decoder alone, model alone, the whole pipeline, and the daemon among real neighbours."""
