"""YAML with line numbers; knows nothing of studies."""
