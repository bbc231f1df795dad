"""The notations of option values: durations, listen addresses and URLs, as Prometheus people write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator
from pydantic_settings import NoDecode


class Group(BaseModel):
    """Base of the groups: strict about names, fixed once read, silent about secrets in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _grouped(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file has
        if value is None:  # in the file a name with nothing behind it, as when all its options are comments
            return {}
        if not isinstance(value, Mapping | cls):
            msg = f"this is a group of options: {', '.join(cls.model_fields)}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic takes no TypeError for a fault
        return value


def _split(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several words: a list in the file, separated by commas elsewhere."""


_UNITS: Final = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_LAST_PORT: Final = 65535
_UNIX: Final = "unix:"
_LONGEST_UNIX_PATH: Final = 107
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in _UNITS))


def parse_duration(value: object) -> float:
    """Read a duration such as `30s`, `5m` or `1h30m` (units y w d h m s ms, in this order) as seconds.

    Raises ValueError for anything else.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not value or match is None:
        msg = "write a duration as a number with its unit, such as 30s, 5m or 1h30m"
        raise ValueError(msg)
    return sum(int(number) * _UNITS[unit] for unit, number in match.groupdict(default="0").items())


def format_duration(seconds: float) -> str:
    """Write seconds as Prometheus does: the inverse of `parse_duration` to the millisecond."""
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


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where the web server listens; `host` None is every interface of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket to listen on."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


def parse_listen_address(value: str) -> ListenAddress:
    """Read `host:port`, `:port` or `[v6]:port`. Raises ValueError for anything else."""
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _LAST_PORT:
        msg = "write an address as HOST:PORT, :PORT for every interface, or [IPV6]:PORT"
        raise ValueError(msg)
    return ListenAddress((host[1:-1] if bracketed else host) or None, int(port))


def parse_listen_place(value: str) -> ListenAddress | UnixAddress:
    """Read an address, or `unix:/path`. Raises ValueError for anything else."""
    if not value.startswith(_UNIX):
        return parse_listen_address(value)
    path = value.removeprefix(_UNIX)
    if not path.startswith("/") or len(path.encode()) > _LONGEST_UNIX_PATH:
        msg = f"write a unix socket as unix:/PATH, the path absolute and of {_LONGEST_UNIX_PATH} bytes at most"
        raise ValueError(msg)
    return UnixAddress(Path(path))


def check_listen_address(value: str) -> str:
    """Give an address as it is written. Raises ValueError where it is none."""
    parse_listen_address(value)
    return value


def check_listen_places(values: tuple[str, ...]) -> tuple[str, ...]:
    """Give addresses and unix sockets as they are written. Raises ValueError where one is none."""
    for value in values:
        parse_listen_place(value)
    return values


def parse_url(value: object) -> str:
    """Read an http or https base URL; a final slash is dropped. Raises ValueError for anything else.

    A user or password in it is refused: addresses are shown.
    """
    url = _base_url(value)
    if url.username is not None or url.password is not None:
        msg = "write a URL without user and password, as https://HOST[:PORT][/PATH]"
        raise ValueError(msg)
    return url.geturl().rstrip("/")


def parse_proxy(value: object) -> str:
    """Read the URL of a proxy, which may have a user and a password. Raises ValueError for anything else."""
    return _base_url(value).geturl().rstrip("/")


def _base_url(value: object) -> SplitResult:
    url = urlsplit(value) if isinstance(value, str) else None
    if url is not None and not _has_a_port(url):
        msg = f"write a port from 1 to {_LAST_PORT}, or none"
        raise ValueError(msg)
    if url is None or url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        msg = "write a URL as https://HOST[:PORT][/PATH]"
        raise ValueError(msg)
    return url


def _has_a_port(url: SplitResult) -> bool:
    """Tell whether the port is one, or is left out."""
    try:
        return url.port != 0
    except ValueError:
        return False


Address = Annotated[str, AfterValidator(check_listen_address)]
"""Where to listen, as it is written."""

Places = Annotated[Words, AfterValidator(check_listen_places)]
"""Several addresses or unix sockets to listen on, as they are written."""

Url = Annotated[str, BeforeValidator(parse_url)]
"""An http or https base URL without a final slash."""

ProxyUrl = Annotated[str, BeforeValidator(parse_proxy)]
"""The URL of a proxy; a secret where it has a password."""
