"""Worker processes, each with a share of the streams and its own interpreter lock, and their supervisors."""
