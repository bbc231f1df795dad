"""Faults as data: the kinds of faults, their notation, and which of them a request meets.

The notation is `NAME[=VALUE][,times=N][,after=N][,api=sms|iam|metadata][,path=PATTERN]`: after the first `after`
requests the fault affects `times` requests (by default all). Only requests whose path matches the pattern count; `*` in
it stands for any characters. `injection.py` and `pages.py` implement the faults.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

Api: TypeAlias = Literal["sms", "iam", "metadata"]
Value: TypeAlias = float | int | str | None
APIS: Final[tuple[Api, ...]] = get_args(Api)


class Stage(Enum):
    """The point in the processing of a request at which a fault takes effect."""

    BEFORE = auto()
    """Before the request is processed as usual."""
    INSTEAD = auto()
    """Instead of a response: no further fault is applied."""
    PAGE = auto()
    """The records of a page."""
    TOKEN = auto()
    """The token that IAM issues."""
    BODY = auto()
    """The bytes of the response body: no further fault is applied."""
    CLOCK = auto()
    """The clock of the API, while the fault is active."""


class BadFault(ValueError):
    """A fault is unknown or invalid; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `read` parses its value, which is optional unless `needs_value` is set."""

    stage: Stage
    description: str
    read: Callable[[str], Value] | None = None
    needs_value: bool = False


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _wait(text: str) -> float:
    value = _seconds(text)
    if value < 0:
        raise ValueError(text)
    return value


def _parse_int(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(text)
    return text.rstrip("/")


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "latency": Kind(Stage.BEFORE, "every response is delayed by VALUE seconds", _wait, needs_value=True),
        "token-expiry": Kind(Stage.BEFORE, "all tokens issued so far expire (once, unless times= is given)"),
        "throttled": Kind(Stage.INSTEAD, "429; with a value, Retry-After: VALUE seconds", _parse_int),
        "throttled-until": Kind(
            Stage.INSTEAD, "429; Retry-After: the date in VALUE seconds", _parse_int, needs_value=True
        ),
        "server-error": Kind(Stage.INSTEAD, "500 in the error format of the API"),
        "bad-gateway": Kind(Stage.INSTEAD, "502 with an HTML page of a gateway"),
        "forbidden": Kind(Stage.INSTEAD, "the 403 of the API reference"),
        "unauthorized": Kind(Stage.INSTEAD, "401 APIGW.0301"),
        "html": Kind(Stage.INSTEAD, "200 with an HTML page"),
        "redirect": Kind(Stage.INSTEAD, "302 to the same path at the base URL VALUE", _url, needs_value=True),
        "reset": Kind(Stage.INSTEAD, "the connection is reset"),
        "hang": Kind(Stage.INSTEAD, "no response"),
        "endless-body": Kind(Stage.INSTEAD, "a body that never ends"),
        "row-flood": Kind(Stage.INSTEAD, "a compressed page with VALUE rows, by default a million", _parse_int),
        "echo": Kind(Stage.INSTEAD, "400 with the headers and the body of the request in its message and request id"),
        "hang-before-body": Kind(Stage.BODY, "headers, then nothing"),
        "hang-mid-body": Kind(Stage.BODY, "headers and half of the body, then nothing"),
        "reset-mid-body": Kind(Stage.BODY, "headers and half of the body, then a reset"),
        "drip": Kind(Stage.BODY, "headers, then one byte of the body every VALUE seconds, by default one", _wait),
        "truncated": Kind(Stage.BODY, "half of the body, with a matching Content-Length"),
        "wrong-types": Kind(Stage.PAGE, "the first record of a page has values of wrong types"),
        "short-page": Kind(Stage.PAGE, "a page lacks its last VALUE records, by default one", _parse_int),
        "count-changes": Kind(Stage.PAGE, "count increases with each page"),
        "duplicates-across-pages": Kind(Stage.PAGE, "later pages begin with the last record of the previous page"),
        "duplicates-within-page": Kind(Stage.PAGE, "the first record of a page is also its last"),
        "moved": Kind(Stage.PAGE, "on later pages all records are shifted by one"),
        "page-size": Kind(Stage.PAGE, "a page has VALUE records, whatever was requested", _parse_int, needs_value=True),
        "short-first-page": Kind(Stage.PAGE, "the first page lacks its last VALUE records, by default one", _parse_int),
        "ignored-offset": Kind(Stage.PAGE, "every page is the first one"),
        "unreachable-count": Kind(
            Stage.PAGE, "count is VALUE, by default 1, higher than the number of records", _parse_int
        ),
        "deep-nesting": Kind(
            Stage.PAGE, "the first record of a page has VALUE levels of arrays, by default 1000", _parse_int
        ),
        "empty-list": Kind(Stage.PAGE, "no records, and a count of 0"),
        "long-token": Kind(Stage.TOKEN, "tokens have VALUE characters, by default 16384", _parse_int),
        "clock-skew": Kind(Stage.CLOCK, "the clock of the API is ahead by VALUE seconds", _seconds, needs_value=True),
    },
)
"""All kinds of faults by name."""


_ONLY_API: Final[Mapping[Stage, Api]] = MappingProxyType({Stage.PAGE: "sms", Stage.TOKEN: "iam"})


@dataclass(eq=False, slots=True)
class Fault:
    """A fault with the attributes of the notation. `times` None is unlimited.

    Raise BadFault if the name or the value is invalid.
    """

    name: str
    value: Value = None
    times: int | None = None
    after: int = 0
    api: Api | None = None
    """By default sms, or the only API that has this fault."""
    path: str = "*"
    """The paths of the requests that it affects, as a pattern."""
    hits: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when the fault is removed or the simulator closes, which ends requests that hang."""

    def __post_init__(self) -> None:
        kind = KINDS.get(self.name)
        if kind is None:
            raise BadFault(f"{self.name}: unknown fault; the faults are {', '.join(KINDS)}")
        only = _ONLY_API.get(kind.stage)
        self.api = self.api or only or "sms"
        if self.api not in APIS:
            raise BadFault(f"{self.name}: api={self.api}; the APIs are {', '.join(APIS)}")
        if only is not None and self.api != only:
            raise BadFault(f"{self.name}: only the API {only} has this fault")
        if not self.path.startswith(("/", "*")):
            raise BadFault(f"{self.name}: path={self.path}; a path begins with /, such as path=/v3/errors")
        if self.after < 0 or (self.times is not None and self.times < 1):
            raise BadFault(f"{self.name}: after must be at least 0, times at least 1")
        self.value = _checked(self.name, kind, self.value)
        if self.name == "token-expiry" and self.times is None:
            self.times = 1

    @property
    def stage(self) -> Stage:
        """The point at which it takes effect."""
        return KINDS[self.name].stage

    @property
    def spent(self) -> bool:
        """Whether it has affected as many requests as it should."""
        return self.times is not None and self.hits >= self.times

    def hit(self) -> bool:
        """Count a request that it could affect, and return whether it does."""
        if self.spent:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.hits += 1
        return True


def _checked(name: str, kind: Kind, value: Value) -> Value:
    if value is None:
        if kind.needs_value:
            raise BadFault(f"{name}: a value is required, {name}=VALUE: {kind.description}")
        return None
    if kind.read is None:
        raise BadFault(f"{name}: it has no value")
    try:
        return kind.read(str(value))
    except ValueError as error:
        raise BadFault(f"{name}: invalid value {value}: {kind.description}") from error


def parse_fault(text: str) -> Fault:
    """Parse a fault as it is written on the command line. Raise BadFault."""
    head, *options = text.split(",")
    name, _, value = head.partition("=")
    given: dict[str, str] = {}
    for option in options:
        key, separator, setting = option.partition("=")
        if key not in {"times", "after", "api", "path"} - given.keys() or not separator:
            raise BadFault(f"{text}: the fault can be followed by times=N, after=N, api={'|'.join(APIS)}, path=PATTERN")
        given[key] = setting
    try:
        times = int(given["times"]) if "times" in given else None
        after = int(given.get("after", "0"))
    except ValueError as error:
        raise BadFault(f"{text}: times and after must be numbers") from error
    api = next((api for api in APIS if api == given.get("api")), None)
    if api is None and "api" in given:
        raise BadFault(f"{text}: api={given['api']}; the APIs are {', '.join(APIS)}")
    return Fault(name, value or None, times=times, after=after, api=api, path=given.get("path", "*"))


class Faults:
    """The active faults, in the order in which they were added; a replay has none that change records."""

    def __init__(self, faults: Iterable[Fault | str] = (), *, of_replay: bool = False) -> None:
        self.of_replay = of_replay
        self._faults: list[Fault] = []
        for fault in faults:
            self.add(fault)

    def __iter__(self) -> Iterator[Fault]:
        """Iterate over the faults that can still affect a request."""
        return iter([fault for fault in self._faults if not fault.spent])

    def add(self, fault: Fault | str) -> Fault:
        """Add a fault. Raise BadFault."""
        added = parse_fault(fault) if isinstance(fault, str) else fault
        if self.of_replay and added.stage is Stage.PAGE:
            raise BadFault(f"{added.name}: a replay cannot have this fault, because it changes the records of a page")
        self._faults.append(added)
        return added

    def clear(self, name: str | None = None) -> None:
        """Remove all faults, or those of one kind; requests that hang because of them end immediately."""
        for fault in [fault for fault in self._faults if name in {None, fault.name}]:
            fault.ended.set()
            self._faults.remove(fault)

    def skew(self) -> float:
        """Return the seconds by which the API's clock is ahead."""
        return sum(float(fault.value or 0) for fault in self if fault.stage is Stage.CLOCK)

    def take(self, api: str, path: str) -> list[Fault]:
        """Return the faults that affect one request to a path of an API, and count them."""
        applied: list[Fault] = []
        for fault in self:
            if fault.api != api or fault.stage is Stage.CLOCK or not fnmatchcase(path, fault.path):
                continue
            final = applied and applied[-1].stage in {Stage.INSTEAD, Stage.BODY}
            if not final and fault.hit():
                applied.append(fault)
        return applied
