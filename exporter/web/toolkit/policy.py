"""The web configuration, checked and ready to use: TLS context, users and rate limit."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exporter.clock import Clock
from exporter.errors import ConfigurationError, mask_credentials
from exporter.translation import IN_ENGLISH, Translator
from exporter.web.toolkit.model import WebConfig
from exporter.web.toolkit.reading import OPTION, Locate, parse, read_file
from exporter.web.toolkit.tls import Certificates, TlsProblem, build_context, read_certificates
from exporter.web.toolkit.users import Users


class TokenBucket:
    """A bucket of up to `burst` tokens, full at first, that gets one token every `interval` seconds."""

    def __init__(self, interval: float, burst: int, clock: Clock) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._updated_at = clock.monotonic()

    def take(self) -> bool:
        """Take a token. Return False if there is none."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._updated_at) / self._interval)
        self._updated_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(frozen=True)
class FileContents:
    """The parsed web configuration file and the certificate files; `certificates` is None without TLS."""

    config: WebConfig
    certificates: Certificates | None
    locate: Locate = field(compare=False)


@dataclass(frozen=True)
class Policy:
    """The current web configuration. `tls`, `users` and `bucket` are None if they are not configured."""

    contents: FileContents
    tls: ssl.SSLContext | None
    users: Users | None
    bucket: TokenBucket | None

    @property
    def config(self) -> WebConfig:
        """The parsed web configuration file."""
        return self.contents.config


def read_contents(path: Path) -> FileContents:
    """Read the file and the files that it names, blocking. Raise ConfigurationError."""
    try:
        content = read_file(path)
    except OSError as error:
        shown = mask_credentials(str(path))  # It can be a URL by mistake.
        raise ConfigurationError([f"{OPTION}: {shown}: cannot be read: {error.strerror}"]) from None
    config, locate = parse(content, path)
    tls = config.tls_server_config
    with _located(locate):
        return FileContents(config, read_certificates(tls, path.parent) if tls else None, locate)


def build_policy(contents: FileContents, clock: Clock, previous: Policy | None = None) -> Policy:
    """Build what the server uses. Raise ConfigurationError.

    Unchanged parts of `previous` are reused, with their TLS tickets, verified passwords and tokens.
    """
    if previous and contents.config == WebConfig() != previous.config:
        # A full disk also looks like this, and must not remove all users.
        raise ConfigurationError([f"{OPTION}: the file is empty; that takes effect at a restart only"])
    return Policy(
        contents,
        tls=_build_tls(contents, previous),
        users=_build_users(contents.config, previous),
        bucket=_build_bucket(contents.config, previous, clock),
    )


def read_policy(path: Path, clock: Clock) -> Policy:
    """Read the files and build the policy, blocking. Raise ConfigurationError."""
    return build_policy(read_contents(path), clock)


def _build_tls(contents: FileContents, previous: Policy | None) -> ssl.SSLContext | None:
    config, certificates = contents.config.tls_server_config, contents.certificates
    if previous and (config is None) != (previous.tls is None):
        raise ConfigurationError([f"{OPTION}: adding or removing tls_server_config takes effect at a restart only"])
    if previous and (config, certificates) == (previous.config.tls_server_config, previous.contents.certificates):
        return previous.tls
    with _located(contents.locate):
        return build_context(config, certificates) if config and certificates else None


@contextmanager
def _located(locate: Locate) -> Iterator[None]:
    """Raise a TlsProblem as a ConfigurationError that names the line of the key."""
    try:
        yield
    except TlsProblem as problem:
        raise ConfigurationError([f"{locate(('tls_server_config', problem.key))}: {problem}"]) from None


def _build_users(config: WebConfig, previous: Policy | None) -> Users | None:
    if previous and config.basic_auth_users == previous.config.basic_auth_users:
        return previous.users
    hashes = {name: hashed.get_secret_value() for name, hashed in config.basic_auth_users.items()}
    return Users(hashes) if hashes else None


def _build_bucket(config: WebConfig, previous: Policy | None, clock: Clock) -> TokenBucket | None:
    limit = config.rate_limit
    if previous and limit == previous.config.rate_limit:
        return previous.bucket
    return TokenBucket(limit.interval, limit.burst, clock) if limit.interval else None


def summary(config: WebConfig, translator: Translator = IN_ENGLISH) -> str:
    """Return a summary in one line."""
    return "; ".join(_parts(config, translator))


def _parts(config: WebConfig, translator: Translator) -> Iterator[str]:
    _ = translator.gettext
    tls = config.tls_server_config
    if tls is None:
        yield _("no TLS")
    else:
        yield _("%(lowest)s to %(highest)s") % {"lowest": tls.min_version, "highest": tls.max_version}
        clients = {
            "RequireAndVerifyClientCert": _("client certificates required"),
            "VerifyClientCertIfGiven": _("client certificates verified if given"),
        }
        yield clients.get(tls.client_auth_type, _("client certificates not requested"))
    number = len(config.basic_auth_users)
    users = translator.ngettext("%(number)s user", "%(number)s users", number) % {"number": number}
    yield users if number else _("no users")
    if config.rate_limit.interval:
        limit = {"interval": f"{config.rate_limit.interval:g}s", "burst": config.rate_limit.burst}
        yield _("one request every %(interval)s, burst %(burst)s") % limit
