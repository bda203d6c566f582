"""Models that `framelane model fetch` knows: where they are, what they hash to, and how to get them."""
