"""The study as the user writes it, the shipped studies, and the check of both."""
