"""What a study expands to on one machine: an ordered list of blocks of trials."""
