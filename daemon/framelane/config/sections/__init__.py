"""The sections of the configuration file: keys, types, defaults and their documentation."""
