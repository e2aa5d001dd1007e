"""Ray nodes of one machine: started, kept, recorded and ended."""
