"""Values, errors, clocks, threads and logging that all other packages use."""
