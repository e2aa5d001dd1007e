"""A store in the format of another program, one module a format."""
