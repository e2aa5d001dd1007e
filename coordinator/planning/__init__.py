"""What a run would do: a study resolved, compared with the store, and previewed."""
