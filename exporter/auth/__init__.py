"""Credentials: what authenticates the requests of an account, one module per kind."""

from exporter.auth.chain import Lookup, find_credentials
from exporter.auth.credentials import Credentials

__all__ = ["Credentials", "Lookup", "find_credentials"]
