"""Records as text: tables, JSON and progress. Nothing here computes a result."""
