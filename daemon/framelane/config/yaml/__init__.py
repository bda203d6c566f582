"""Reads YAML files into a Config."""
