"""Results on their way out: the publisher numbers and encodes them, and the sinks deliver messages."""
