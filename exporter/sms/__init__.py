"""The SMS API: its records, one page of them, and the complete list."""
