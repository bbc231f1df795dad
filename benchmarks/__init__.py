"""What a scrape and a poll cost, beside the exporter that anyone would write and the limit of the machine."""
