"""The YAML configuration: its schema, its loader and its checks."""
