"""What results mean over time: objects that keep their identity from frame to frame."""
