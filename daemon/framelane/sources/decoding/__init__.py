"""Decodes access units in time, or skips them."""
