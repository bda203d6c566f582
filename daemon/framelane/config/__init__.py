"""The YAML configuration: schema, loader and checks."""
