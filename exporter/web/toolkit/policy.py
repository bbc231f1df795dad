"""What the file makes of the server: one reading of it, checked whole, ready to be used."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.web.toolkit.model import WebConfig
from exporter.web.toolkit.reading import OPTION, parse, read_file, shown
from exporter.web.toolkit.tls import Material, make_context, read_material
from exporter.web.toolkit.users import Users


class TokenBucket:
    """Holds up to `burst` tokens, full at first, and gets one every `interval` seconds."""

    def __init__(self, interval: float, burst: int, clock: Clock) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._counted_at = clock.monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) / self._interval)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(frozen=True)
class Sources:
    """What the files on disk say; `material` is None where there is no TLS."""

    config: WebConfig
    material: Material | None


@dataclass(frozen=True)
class Policy:
    """The file in force. `tls`, `users` and `bucket` are None where there is no such thing."""

    sources: Sources
    tls: ssl.SSLContext | None
    users: Users | None
    bucket: TokenBucket | None

    @property
    def config(self) -> WebConfig:
        """The content of the file."""
        return self.sources.config


def read_sources(path: Path) -> Sources:
    """Read the file at `path` and those that it names. Raises ConfigurationError. Waits for the disk."""
    try:
        content = read_file(path)
    except OSError as error:
        raise ConfigurationError([f"{OPTION}: {shown(path)} cannot be read: {error.strerror}"]) from None
    config = parse(content, path)
    tls = config.tls_server_config
    return Sources(config, read_material(tls, path.parent) if tls else None)


def make_policy(sources: Sources, clock: Clock, before: Policy | None = None) -> Policy:
    """Make of the files what a server uses.

    What is as it was `before` is kept: tickets of TLS, passwords found right, tokens left. Raises
    ConfigurationError.
    """
    if before and sources.config == WebConfig() != before.config:
        # So it looks on a full disk, and nobody may come in for that.
        raise ConfigurationError([f"{OPTION}: it is empty, which is believed at a start only"])
    return Policy(
        sources,
        tls=_tls(sources, before),
        users=_users(sources.config, before),
        bucket=_bucket(sources.config, before, clock),
    )


def read_policy(path: Path, clock: Clock) -> Policy:
    """Read the files and make a policy of them. Raises ConfigurationError. Waits for the disk."""
    return make_policy(read_sources(path), clock)


def _tls(sources: Sources, before: Policy | None) -> ssl.SSLContext | None:
    config, material = sources.config.tls_server_config, sources.material
    if before and (config is None) != (before.tls is None):
        raise ConfigurationError([f"{OPTION}: tls_server_config comes or goes at a start only"])
    if before and (config, material) == (before.config.tls_server_config, before.sources.material):
        return before.tls
    return make_context(config, material) if config and material else None


def _users(config: WebConfig, before: Policy | None) -> Users | None:
    if before and config.basic_auth_users == before.config.basic_auth_users:
        return before.users
    hashes = {name: hashed.get_secret_value() for name, hashed in config.basic_auth_users.items()}
    return Users(hashes) if hashes else None


def _bucket(config: WebConfig, before: Policy | None, clock: Clock) -> TokenBucket | None:
    limit = config.rate_limit
    if before and limit == before.config.rate_limit:
        return before.bucket
    return TokenBucket(limit.interval, limit.burst, clock) if limit.interval else None


def summary(config: WebConfig) -> str:
    """Say in a line what the file asks for."""
    return "; ".join(_parts(config))


def _parts(config: WebConfig) -> Iterator[str]:
    tls = config.tls_server_config
    if tls is None:
        yield "no TLS"
    else:
        yield f"{tls.min_version} to {tls.max_version}"
        clients = {"RequireAndVerifyClientCert": "required", "VerifyClientCertIfGiven": "verified if given"}
        yield f"client certificates {clients.get(tls.client_auth_type, 'not asked for')}"
    number = len(config.basic_auth_users)
    yield f"{number} user{'' if number == 1 else 's'}" if number else "no users"
    if config.rate_limit.interval:
        yield f"one request every {config.rate_limit.interval:g}s, {config.rate_limit.burst} at once"
