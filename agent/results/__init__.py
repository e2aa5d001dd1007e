"""From readings to a row: energies, series, conditions and scores. Pure."""
