"""Past one interpreter lock: worker processes that each run a share of the streams, and who looks after them."""
