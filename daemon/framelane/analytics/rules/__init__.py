"""Lines, zones and objects: what tracks do becomes events."""
