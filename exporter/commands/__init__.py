"""The commands of `sms-exporter`: one module per command, and their output."""
