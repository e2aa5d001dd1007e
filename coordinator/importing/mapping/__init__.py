"""The mapping file: what columns and folders of another tool's output mean."""
