"""What this machine is: its files, groups, records and lock. Nothing here measures a trial."""
