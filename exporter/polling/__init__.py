"""What is known of an account, and when it is read."""
