"""The pages for a person: how the migration stands, the configuration in force, and the last polls.

View models are pure functions of what is known; templates only lay them out.
"""

from exporter.web.pages.routes import Pages

__all__ = ["Pages"]
