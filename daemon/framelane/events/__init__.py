"""The journal: events and counters on disk before they are passed on, and what consumers see of them."""
