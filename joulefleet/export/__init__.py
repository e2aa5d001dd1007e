"""Export of a store to the format of another program, one module for each format."""
