"""The interactive `joulefleet sql`."""
