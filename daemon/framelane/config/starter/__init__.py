"""A first configuration file, as `framelane init` writes it."""
