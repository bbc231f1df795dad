"""Which proxy a request is sent through: the option's, or the one that the environment names."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import encode_basic_auth
from yarl import URL

from exporter.errors import ConfigurationError
from exporter.settings.quantities import parse_proxy

SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy at `url`, which has no password; `authorization` is its header, if it needs a user and password.

    `secrets` are the parts of the header that must not be shown.
    """

    url: URL
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> "Proxy":
        """Return the proxy at a URL with user and password."""
        url = URL(text)
        user, password = url.user or "", url.password or ""
        if not user and not password:
            return cls(url)
        authorization = encode_basic_auth(user, password)
        # Some proxies take a token in place of the user, without a password.
        secrets = (password or user, f"{user}:{password}", authorization.removeprefix("Basic "))
        return cls(url.with_user(None), authorization, secrets)


class Proxies:
    """The proxies of one account. Raise ConfigurationError if a variable does not name a usable one."""

    def __init__(self, option: str | None, environ: Mapping[str, str]) -> None:
        self._option = _parse("api.proxy", option) if option else None
        self._of_scheme = {} if option else {scheme: _from_environment(scheme, environ) for scheme in SCHEMES}
        self._exempt = _variable("no_proxy", environ)[1].replace(",", " ").split()

    def find(self, url: URL) -> Proxy | None:
        """Return the proxy for a URL; None if it is reached without one."""
        if self._option is not None:
            return self._option
        proxy = self._of_scheme.get(url.scheme)
        return None if proxy is None or any(is_exempt(url, entry) for entry in self._exempt) else proxy


def is_exempt(url: URL, entry: str) -> bool:
    """Return whether an entry of NO_PROXY exempts a URL.

    An entry is `*`, a domain, which covers its subdomains, an IP address, or a range such as 10.0.0.0/8. A domain or
    an address can have a port; an IPv6 address can have brackets, and needs them before a port.
    """
    if entry == "*":
        return True
    host = (url.host or "").rstrip(".").lower()
    if "/" in entry:
        return _is_in_range(host, entry)
    name, port = _split_port(entry)
    if port is not None and port != str(url.port):
        return False
    if (address := _address(name)) is not None:
        return address == _address(host)
    domain = name.strip(".").lower().removeprefix("*.")
    return bool(domain) and _address(host) is None and (host == domain or host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":") or None
    name, colon, port = entry.rpartition(":")
    return (name, port) if colon and ":" not in name else (entry, None)


def _is_in_range(host: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a variable's name as it is set and its value: in lower case, or else in upper case."""
    spelling = name if name in environ else name.upper()
    return spelling, environ.get(spelling, "").strip()


def _from_environment(scheme: str, environ: Mapping[str, str]) -> Proxy | None:
    variable, text = _variable(f"{scheme}_proxy", environ)
    if not text:
        return None
    return _parse(variable, text if "://" in text else f"http://{text}")


def _parse(name: str, text: str) -> Proxy:
    try:
        return Proxy.parse(parse_proxy(text))
    except ValueError as error:
        # The value is not shown: it can contain a password.
        kind = " SOCKS proxies are not supported:" if text.startswith("socks") else ""
        raise ConfigurationError([f"{name}:{kind} {error}"]) from None
