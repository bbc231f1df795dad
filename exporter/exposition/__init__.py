"""From a snapshot to the bytes of a scrape."""
