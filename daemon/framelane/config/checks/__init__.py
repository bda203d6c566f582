"""Checks a configuration beyond its types."""
