"""Comparisons: from the trials of a store to ratios, findings over machines, sentences and caveats."""
