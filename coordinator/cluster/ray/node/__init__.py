"""The Ray node of this machine: started, recorded and ended."""
