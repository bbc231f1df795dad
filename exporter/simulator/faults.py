"""Faults as data: which there are, how they are written, and which of them hit a request.

A fault is written `NAME[=VALUE][,times=N][,after=N][,api=sms|iam|metadata]`: it hits `times` requests
(all, where left out) once it has let `after` of them pass. How a fault looks over HTTP is told in
`misbehaviour.py` and `pages.py`.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

Api: TypeAlias = Literal["sms", "iam", "metadata"]
Value: TypeAlias = float | int | str | None
APIS: Final[tuple[Api, ...]] = get_args(Api)


class Stage(Enum):
    """Where in the life of a request a fault strikes."""

    BEFORE = auto()
    """Before it is looked at; it is served all the same."""
    INSTEAD = auto()
    """Instead of an answer: no other fault strikes after it."""
    PAGE = auto()
    """The records of a page."""
    BODY = auto()
    """The bytes of the answer on their way: no other fault strikes after it."""
    CLOCK = auto()
    """The API's clock, as long as the fault lasts."""


class BadFault(ValueError):
    """A fault that there is not, or that is written wrongly; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault that there is. `read` reads its value; without `needs_value` it may be left out."""

    stage: Stage
    tells: str
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


def _whole(text: str) -> int:
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
        "latency": Kind(Stage.BEFORE, "every answer comes so many seconds late", _wait, needs_value=True),
        "token-expiry": Kind(Stage.BEFORE, "every token issued so far expires (once, unless times= is given)"),
        "throttled": Kind(Stage.INSTEAD, "429; with a value, Retry-After so many seconds", _whole),
        "throttled-until": Kind(
            Stage.INSTEAD, "429; Retry-After the date in so many seconds", _whole, needs_value=True
        ),
        "server-error": Kind(Stage.INSTEAD, "500 in the API's error shape"),
        "bad-gateway": Kind(Stage.INSTEAD, "502 with a gateway's HTML"),
        "forbidden": Kind(Stage.INSTEAD, "the reference's 403"),
        "unauthorized": Kind(Stage.INSTEAD, "401 APIGW.0301"),
        "html": Kind(Stage.INSTEAD, "200 with an HTML page"),
        "redirect": Kind(Stage.INSTEAD, "302 to the same path under another base URL", _url, needs_value=True),
        "reset": Kind(Stage.INSTEAD, "the connection is reset"),
        "hang": Kind(Stage.INSTEAD, "nothing is answered"),
        "endless-body": Kind(Stage.INSTEAD, "a body that never ends"),
        "hang-before-body": Kind(Stage.BODY, "head, then nothing"),
        "hang-mid-body": Kind(Stage.BODY, "head and half of the body, then nothing"),
        "reset-mid-body": Kind(Stage.BODY, "head and half of the body, then a reset"),
        "truncated": Kind(Stage.BODY, "half of the body as if it were all"),
        "wrong-types": Kind(Stage.PAGE, "the first record of a page has values of wrong types"),
        "short-page": Kind(Stage.PAGE, "a page lacks its last record, or its last so many", _whole),
        "count-changes": Kind(Stage.PAGE, "count grows with each page"),
        "duplicates-across-pages": Kind(Stage.PAGE, "later pages begin with the last record of the page before"),
        "duplicates-within-page": Kind(Stage.PAGE, "the first record of a page is also its last"),
        "moved": Kind(Stage.PAGE, "on later pages all records have moved up by one"),
        "empty-list": Kind(Stage.PAGE, "no server at all, and a count of 0"),
        "clock-skew": Kind(Stage.CLOCK, "the API's clock is ahead by so many seconds", _seconds, needs_value=True),
    },
)
"""All faults by name."""


@dataclass(eq=False, slots=True)
class Fault:
    """A fault to strike. `value` is as `KINDS` tells; `times` None is for ever; see the module for the rest.

    Raises BadFault for a name or value that there is not.
    """

    name: str
    value: Value = None
    times: int | None = None
    after: int = 0
    api: Api = "sms"
    hits: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when the fault is cleared or the simulator closes: what hangs then ends."""

    def __post_init__(self) -> None:
        kind = KINDS.get(self.name)
        if kind is None:
            raise BadFault(f"{self.name}: no such fault; there are {', '.join(KINDS)}")
        if self.api not in APIS:
            raise BadFault(f"{self.name}: api={self.api}; there are {', '.join(APIS)}")
        if kind.stage is Stage.PAGE and self.api != "sms":
            raise BadFault(f"{self.name}: only sms has pages")
        if self.after < 0 or (self.times is not None and self.times < 1):
            raise BadFault(f"{self.name}: after is 0 or more, times 1 or more")
        self.value = _checked(self.name, kind, self.value)
        if self.name == "token-expiry" and self.times is None:
            self.times = 1

    @property
    def stage(self) -> Stage:
        """Where it strikes."""
        return KINDS[self.name].stage

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it should."""
        return self.times is not None and self.hits >= self.times

    def strikes(self) -> bool:
        """Count a request that it could strike, and tell whether it does."""
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
            raise BadFault(f"{name}: a value is needed, as {name}=…: {kind.tells}")
        return None
    if kind.read is None:
        raise BadFault(f"{name}: takes no value")
    try:
        return kind.read(str(value))
    except ValueError as error:
        raise BadFault(f"{name}: {value} is not its value: {kind.tells}") from error


def parse_fault(text: str) -> Fault:
    """Read a fault as it is written on the command line. Raises BadFault."""
    head, *options = text.split(",")
    name, _, value = head.partition("=")
    given: dict[str, str] = {}
    for option in options:
        key, separator, setting = option.partition("=")
        if key not in {"times", "after", "api"} or not separator:
            raise BadFault(f"{text}: after the fault come times=N, after=N, api={'|'.join(APIS)}")
        given[key] = setting
    try:
        times = int(given["times"]) if "times" in given else None
        after = int(given.get("after", "0"))
    except ValueError as error:
        raise BadFault(f"{text}: times and after are numbers") from error
    api = next((api for api in APIS if api == given.get("api", "sms")), None)
    if api is None:
        raise BadFault(f"{text}: api={given['api']}; there are {', '.join(APIS)}")
    return Fault(name, value or None, times=times, after=after, api=api)


class Faults:
    """The faults in force, in the order in which they were added."""

    def __init__(self, faults: Iterable[Fault | str] = ()) -> None:
        self._faults: list[Fault] = []
        for fault in faults:
            self.add(fault)

    def __iter__(self) -> Iterator[Fault]:
        """Give those that may still strike."""
        return iter([fault for fault in self._faults if not fault.spent])

    def add(self, fault: Fault | str) -> Fault:
        """Put a fault in force. Raises BadFault."""
        added = parse_fault(fault) if isinstance(fault, str) else fault
        self._faults.append(added)
        return added

    def clear(self, name: str | None = None) -> None:
        """End all faults, or those of a name; what hangs because of them ends at once."""
        for fault in [fault for fault in self._faults if name in {None, fault.name}]:
            fault.ended.set()
            self._faults.remove(fault)

    def skew(self) -> float:
        """Give the seconds by which the API's clock is ahead."""
        return sum(float(fault.value or 0) for fault in self if fault.stage is Stage.CLOCK)

    def strike(self, api: str) -> list[Fault]:
        """Give the faults that hit one request to an API, and count them."""
        struck: list[Fault] = []
        for fault in self:
            if fault.api != api or fault.stage is Stage.CLOCK:
                continue
            final = struck and struck[-1].stage in {Stage.INSTEAD, Stage.BODY}
            if not final and fault.strikes():
                struck.append(fault)
        return struck
