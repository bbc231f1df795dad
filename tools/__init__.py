"""What developers run beside the tests: builders of reference pages, and checks."""
