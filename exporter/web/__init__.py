"""What the exporter serves over HTTP."""

from exporter.web.app import create_app
from exporter.web.server import ListenError, serve

__all__ = ["ListenError", "create_app", "serve"]
