"""Describes configurations: wording of findings, differences, the JSON Schema."""
