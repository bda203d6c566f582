"""A configuration that changes while it runs."""
