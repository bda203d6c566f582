"""Changes of the configuration while the daemon runs."""
