"""The pages for a person: how the migration stands, the configuration in force, and the last polls.

What is told of accounts and fleet is in `exporter.views`; templates only lay it out.
"""

from exporter.web.pages.routes import Pages

__all__ = ["Pages"]
