"""The messages that Framelane publishes, their topics and their schemas."""
