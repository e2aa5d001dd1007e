"""Energy counters of CPUs: powercap zones read directly, and through pyRAPL."""
