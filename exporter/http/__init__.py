"""One bounded HTTP request, and what a failed answer means."""
