"""One module a subcommand; no computing in them."""
