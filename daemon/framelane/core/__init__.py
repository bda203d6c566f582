"""Values, errors, clocks and threads that every other part stands on."""
