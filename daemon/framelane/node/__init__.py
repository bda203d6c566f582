"""The node: one status, one HTTP listener and one watchdog around a pipeline."""
