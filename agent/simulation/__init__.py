"""A machine with energy counters whose true energy is known: to try Joulefleet, and to check it, without RAPL."""
