"""Measurements of scrapes and polls, compared with a straightforward exporter and with static responses."""
