"""HTTP requests within limits, and what a failed response means."""
