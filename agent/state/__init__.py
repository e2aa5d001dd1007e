"""What must survive a crash of the agent: its outbox, its journal and the epochs it has heard of."""
