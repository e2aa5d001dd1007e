"""Tables and folders of other tools, read as text within limits."""
