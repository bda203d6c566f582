"""`python -m framelane`: the same as the `framelane` command."""

from framelane.cli import entry

entry()
