"""A simulated machine with energy counters: files like those of /sys that follow the load of this machine."""
