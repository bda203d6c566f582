"""Sources that Framelane itself fetches over HTTP: single pictures and live HLS."""
