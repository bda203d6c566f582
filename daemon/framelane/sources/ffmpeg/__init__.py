"""Sources that FFmpeg reads."""
