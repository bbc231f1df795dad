"""The web pages: migration status, recent polls, and the current configuration.

`exporter.views` computes what they show; templates only lay it out.
"""

from exporter.web.pages.loading import Pages

__all__ = ["Pages"]
