"""One module a tool whose output can be imported."""
