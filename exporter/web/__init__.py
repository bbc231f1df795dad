"""The HTTP server: scrapes, service discovery, pages and probes."""

from exporter.web.app import create_app
from exporter.web.listeners import Endpoint, inherited_sockets
from exporter.web.server import serve

__all__ = ["Endpoint", "create_app", "inherited_sockets", "serve"]
