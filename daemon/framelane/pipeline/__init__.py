"""The streams and models of one process."""
