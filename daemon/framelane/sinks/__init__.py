"""Where results leave Framelane: messages, the outlet that numbers them, and the sinks that deliver them."""
