"""What this machine is: its small files, control groups, mounts, records and lock. Nothing here measures a trial."""
