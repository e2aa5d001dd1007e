"""Which trial runs next on which machine. Pure: no clock, no files, no network."""
