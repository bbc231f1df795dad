"""What the exporter serves over HTTP."""

from exporter.web.app import create_app
from exporter.web.server import serve

__all__ = ["create_app", "serve"]
