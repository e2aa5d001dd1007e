"""The plan: a study expanded into blocks of trials in an order, for each machine."""
