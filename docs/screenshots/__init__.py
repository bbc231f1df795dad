"""Pictures of the pages, and the command that makes them."""
