"""`python -m framelane.fleet`: runs a worker process; only a supervisor starts it."""

from framelane.fleet.worker import main

main()
