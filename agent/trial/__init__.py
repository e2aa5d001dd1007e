"""One trial in time: warm-up, sampling, window and summary."""
