"""Caveats: sentences that have to be read with a comparison. They never change or hide a number."""
