"""Parsers for the headers of H.264 and H.265 streams."""
