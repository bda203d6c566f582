"""What the daemon knows of itself: counts, rates, states, health and how they are shown."""
