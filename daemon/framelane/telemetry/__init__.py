"""The daemon's counts, rates, states and health, and how they are shown."""
