"""Long runs of the exporter as a real process: an hour of disturbances, and an hour of a large estate."""
