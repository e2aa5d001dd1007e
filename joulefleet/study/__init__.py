"""What the user writes: a study, its shipped examples, and the checks of both."""
