"""Traces of power: read, repaired where a counter wrapped, and integrated."""
