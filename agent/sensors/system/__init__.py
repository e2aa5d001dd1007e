"""Sensors of processors, memory, temperature and pressure, read from /proc and /sys."""
