"""What evaluations of tracks and rules share: footage with truth, trackers, and counts of crossings."""
