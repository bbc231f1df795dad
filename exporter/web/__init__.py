"""What the exporter serves over HTTP."""

from exporter.web.app import create_app
from exporter.web.listeners import ListenError, Place, inherited
from exporter.web.server import serve

__all__ = ["ListenError", "Place", "create_app", "inherited", "serve"]
