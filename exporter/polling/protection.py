"""Connections of an account that others on the network can read or change."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from exporter.language import Translatable
from exporter.settings import AccountSettings


def find_unprotected(account: AccountSettings, issuer_url: str) -> Iterator[Translatable]:
    """Yield a warning for each service whose connection is not encrypted, and one if no certificate is verified.

    `issuer_url` is the address of the service that issues the credentials; empty if they are stored.
    """
    for url in dict.fromkeys((account.api.url, issuer_url)):
        parts = urlsplit(url)
        if parts.scheme == "http" and not _is_local(parts.hostname or ""):
            yield Translatable(
                "%(url)s is not encrypted: others on the network can read and change what is sent, also tokens and "
                "passwords; use https",
                url=f"http://{parts.netloc.rpartition('@')[2]}",
            )
    if account.api.insecure_skip_verify:
        yield Translatable(
            "api.insecure-skip-verify: no certificate is verified: others on the network can read and change what is "
            "sent, also tokens and passwords; set api.ca-file instead"
        )


def _is_local(host: str) -> bool:
    """Return whether a host is this machine, or on its link as the metadata service of a cloud is."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local
