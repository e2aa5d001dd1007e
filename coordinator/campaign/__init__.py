"""The control loop that runs a study on a cluster, from the first pilot to the last trial."""
