"""Ways to authenticate a request, one file each, behind the one protocol `Credentials`."""

from exporter.auth.chain import find_credentials
from exporter.auth.credentials import Credentials

__all__ = ["Credentials", "find_credentials"]
