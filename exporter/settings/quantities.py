"""The notations of option values: durations, listen addresses and URLs, as Prometheus people write them."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, PlainSerializer

from exporter.errors import mask_credentials
from exporter.settings.files import check_directory, check_regular_file


class Group(BaseModel):
    """Base of the groups of options: no unknown names, immutable, no values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _split(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several words: a list in the file, separated by commas in a flag or a variable."""


_LINE_BREAKS_AND_CONTROLS: Final = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories of characters that no name has."""


def check_account_name(name: str) -> str:
    """Return the name of an account. Raise ValueError if it could control a terminal or break a line."""
    if any(unicodedata.category(character) in _LINE_BREAKS_AND_CONTROLS for character in name):
        msg = "write a name without control characters and line breaks"
        raise ValueError(msg)
    return name


AccountName = Annotated[str, AfterValidator(check_account_name)]
"""The name of an account, as it is written."""


_UNITS: Final = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_BINARY_UNITS: Final = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
MAX_DURATION_SECONDS: Final = 365 * 86_400
"""No timeout and no interval is longer, and every date that is calculated from one exists."""
_UNIT_WORDS: Final = {
    "y": {"year", "years"},
    "w": {"week", "weeks"},
    "d": {"day", "days"},
    "h": {"hr", "hrs", "hour", "hours"},
    "m": {"min", "mins", "minute", "minutes"},
    "s": {"", "sec", "secs", "second", "seconds"},
    "ms": {"msec", "msecs", "millisecond", "milliseconds"},
}
"""Words that are not units, and the unit that is meant."""
_MAX_PORT: Final = 65535
_UNIX: Final = "unix:"
_MAX_UNIX_PATH_BYTES: Final = 107
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,99}}){unit})?" for unit in _UNITS))


def parse_duration(value: object) -> float:
    """Return a duration such as `30s`, `5m` or `1h30m` (units y w d h m s ms, in this order) in seconds.

    Raise ValueError for anything else.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not value or match is None:
        msg = "write a duration with its unit, such as 30s, 5m or 1h30m"
        raise ValueError(msg)
    seconds = sum(int(number) * _UNITS[unit] for unit, number in match.groupdict(default="0").items())
    if seconds > MAX_DURATION_SECONDS:
        msg = f"write a duration of at most {format_duration(MAX_DURATION_SECONDS)}"
        raise ValueError(msg)
    return seconds


def suggest_duration(text: str) -> str | None:
    """Return the duration that was probably meant by text that is not one, such as `60` or `5 min`."""
    suggestion = "".join(text.split()).lower()
    if one := re.fullmatch(r"(\d+)([a-z]*)", suggestion):
        suggestion = one[1] + next((unit for unit, words in _UNIT_WORDS.items() if one[2] in words), one[2])
    return suggestion if suggestion != text and _DURATION.fullmatch(suggestion) else None


def format_duration(seconds: float) -> str:
    """Return seconds as Prometheus writes them: the inverse of `parse_duration` to the millisecond."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        if unit in "yw":
            continue
        number, rest = divmod(rest, round(size * 1000))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
"""Seconds, written as a Prometheus duration."""


def format_size(size: int) -> str:
    """Return bytes in the largest binary unit that is exact, such as 8MiB."""
    exact = (f"{size // factor}{unit}" for unit, factor in _BINARY_UNITS.items() if size % factor == 0)
    return next(exact, f"{size}B")


Size = Annotated[ByteSize, PlainSerializer(format_size)]
"""Bytes, written with their unit."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP address to listen on; `host` None is every interface of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket to listen on."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


def parse_listen_address(value: str) -> ListenAddress:
    """Parse `host:port`, `:port` or `[v6]:port`. Raise ValueError for anything else."""
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _MAX_PORT:
        msg = "write an address as HOST:PORT, :PORT for every interface, or [IPV6]:PORT"
        raise ValueError(msg)
    return ListenAddress((host[1:-1] if bracketed else host) or None, int(port))


def parse_socket_address(value: str) -> ListenAddress | UnixAddress:
    """Parse an address or `unix:/path`. Raise ValueError for anything else."""
    if not value.startswith(_UNIX):
        return parse_listen_address(value)
    path = value.removeprefix(_UNIX)
    if not path.startswith("/") or len(path.encode()) > _MAX_UNIX_PATH_BYTES:
        msg = f"write a Unix socket as unix:/PATH, with an absolute path of at most {_MAX_UNIX_PATH_BYTES} bytes"
        raise ValueError(msg)
    return UnixAddress(Path(path))


def check_listen_address(value: str) -> str:
    """Return an address as it is written. Raise ValueError if it is not one."""
    parse_listen_address(value)
    return value


def check_socket_addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses and Unix sockets as they are written. Raise ValueError if one is neither."""
    if not values:
        msg = "write one or more addresses"
        raise ValueError(msg)
    for value in values:
        try:
            parse_socket_address(value)
        except ValueError as error:
            msg = f"given {mask_credentials(value)!r}: {error}"
            raise ValueError(msg) from None
    return values


_LINE_BREAK: Final = re.compile(r"[\t\r\n]")
_PLAIN_USER: Final = re.compile(r"[^/?#\[\]\\\t\r\n]*")
"""A user and password that can be in a URL as they are."""
_HOST: Final = re.compile(r"[^\s\\\x00-\x1f\x7f]+")


def parse_url(value: object) -> str:
    """Return an http or https base URL without a final slash. Raise ValueError for anything else.

    A user and password are refused, because addresses are shown.
    """
    without_user = "write a URL without user and password, as https://HOST[:PORT][/PATH]"
    if _has_unreadable_user(value):
        raise ValueError(without_user)
    url = _base_url(value, "write a URL as https://HOST[:PORT][/PATH]")
    if url.username is not None or url.password is not None:
        raise ValueError(without_user)
    return url.geturl().rstrip("/")


def parse_proxy(value: object) -> str:
    """Return the URL of a proxy, which can have a user and a password. Raise ValueError for anything else."""
    if _has_unreadable_user(value):
        msg = "write special characters of the user and password as %XX, such as %23 for #, %2F for / and %3F for ?"
        raise ValueError(msg)
    return _base_url(value, "write the URL of an HTTP proxy as http://[USER:PASSWORD@]HOST[:PORT]").geturl().rstrip("/")


def _has_unreadable_user(value: object) -> bool:
    """Return whether a URL has a user or a password with characters that must be encoded."""
    if not isinstance(value, str):
        return False
    user = value.partition("://")[2].rpartition("@")[0]
    try:
        urlsplit(value)
    except ValueError:
        return bool(user)
    return not _PLAIN_USER.fullmatch(user)


def _base_url(value: object, msg: str) -> SplitResult:
    text = value.strip() if isinstance(value, str) else ""
    try:
        # It would leave out line breaks.
        url = None if _LINE_BREAK.search(text) else urlsplit(text)
    except ValueError:  # its text could contain a password
        url = None
    if url is not None and not _has_valid_port(url):
        raise ValueError(f"write a port from 1 to {_MAX_PORT}, or no port")
    if url is None or url.scheme not in {"http", "https"} or url.query or url.fragment:
        raise ValueError(msg)
    if not url.hostname or not _HOST.fullmatch(url.hostname):
        raise ValueError(msg)
    if not can_be_looked_up(url.hostname):
        raise ValueError("write a host name in ASCII, with 1 to 63 characters between two dots")
    return url


def can_be_looked_up(host: str) -> bool:
    """Return whether no library refuses a host name; an international one must be written as xn--…."""
    try:
        host.encode("ascii").decode("idna").encode("idna")
    except UnicodeError:
        return False
    return True


def _has_valid_port(url: SplitResult) -> bool:
    """Return whether the port is valid or missing."""
    try:
        return url.port != 0
    except ValueError:
        return False


OutputDirectory = Annotated[Path, AfterValidator(check_directory)]
"""A directory that is created if it does not exist."""

InputFile = Annotated[Path, AfterValidator(check_regular_file)]
"""The path of a file that exists."""

Address = Annotated[str, AfterValidator(check_listen_address)]
"""An address to listen on, as it is written."""

SocketAddresses = Annotated[Words, AfterValidator(check_socket_addresses)]
"""Several addresses or Unix sockets to listen on, as they are written."""

Url = Annotated[str, BeforeValidator(parse_url)]
"""An http or https base URL without a final slash."""

ProxyUrl = Annotated[str, BeforeValidator(parse_proxy)]
"""The URL of a proxy; a secret where it has a password."""
