"""The output of sources: access units and decoded frames."""
