"""A store as its coordinator uses it: one writer, and what a restart needs."""
