"""`python -m framelane.fleet`: a worker process, started by its supervisor alone."""

from framelane.fleet.worker import main

main()
