"""What is saved of an account, as the content of two files: pure functions.

A file is a line with its kind, version and checksum, followed by gzip of lines of JSON: `tail -n +2 FILE | zcat` shows
them. Lists are saved as pages of the API, so that reading them has the checks and the limits of a poll.
"""

import contextlib
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import GenericAlias
from typing import Any, Final, TypeVar, cast

import msgspec
from isal import isal_zlib

from exporter.errors import BadResponse
from exporter.polling.collectors import DETAIL_COLLECTORS
from exporter.polling.migrations import MAX_MIGRATIONS, Migration, Migrations
from exporter.polling.snapshot import SPEED_UNITS, Details, LastValues, Snapshot
from exporter.settings import AccountSettings
from exporter.sms.decoding import Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import SourceServer

VERSION: Final = 1
"""The version of both files. A file of another version is not used."""

MAX_LINE_BYTES: Final = 64 * 2**20

_ROWS: Final = SOURCE_SERVERS.envelope_key
_PAGE_ROWS: Final = 200
"""Records per line: encoding one takes the interpreter's lock for less than a millisecond."""

_COMPRESSION_LEVEL: Final = 1
_GZIP_WBITS: Final = isal_zlib.MAX_WBITS | 16

_HEADER: Final = re.compile(rb"huaweicloud-sms-exporter (\w{1,20}) ([0-9]{1,9}) ([0-9a-f]{64})\n")

T = TypeVar("T")


class Unusable(Exception):
    """A file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """What is saved of an account's state.

    `details` has what each collector that reads another list has read. `undocumented_logged_at` and `logged` are as in
    AccountState.
    """

    snapshot: Snapshot
    undocumented_logged_at: Mapping[tuple[str, str], float]
    details: Mapping[str, Details]
    logged: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)


class _Head(msgspec.Struct):
    """The first line of a saved state. After it come the pages of the list, and the lines of each of `details`.

    The latter are the collector, when it read them, and the number of lines.
    """

    account: str
    url: str
    filters: dict[str, str]
    read_at: float
    count: int
    pages: int
    details: list[tuple[str, float, int]]
    last_growth: dict[str, float]
    last_values: dict[str, tuple[str | None, int | None]]
    undocumented_logged_at: list[tuple[str, str, float]]
    logged: dict[str, list[tuple[str, str]]] = {}
    """Missing in a file of an earlier version of the exporter."""


def encode_state(state: SavedState, account: AccountSettings) -> bytes:
    """Return the content of the file of an account's state."""
    snapshot = state.snapshot
    pages = [{"count": len(part), _ROWS: part} for part in _split(snapshot.servers, _PAGE_ROWS)]
    details = {
        name: [dict(part) for part in _split(tuple(each.records.items()), _PAGE_ROWS)]
        for name, each in state.details.items()
    }
    head = _Head(
        account.name,
        account.api.url,
        account.filter.query(),
        snapshot.read_at,
        snapshot.count,
        len(pages),
        [(name, state.details[name].read_at, len(parts)) for name, parts in details.items()],
        dict(snapshot.last_growth),
        {server_id: (last.state, last.replicatesize) for server_id, last in snapshot.last_values.items()},
        [(field, value, at) for (field, value), at in state.undocumented_logged_at.items()],
        {collector: sorted(logged) for collector, logged in state.logged.items()},
    )
    return _seal("state", ([head], pages, *details.values()))


def decode_state(content: bytes, account: AccountSettings) -> SavedState:
    """Return the state of an account in the content of a file. Raise Unusable if it is not that of this list."""
    with _reporting_damage():
        lines = _unseal("state", content)
        head = _from_json(next(lines), _Head)
        if head.account != account.name:
            raise Unusable("it is of another account")
        if (head.url, head.filters) != (account.api.url, account.filter.query()):
            raise Unusable("it is of another list: api.endpoint, api.region or a filter was changed")
        snapshot = _read_snapshot(head, account, [next(lines) for _ in range(head.pages)])
        details = {
            name: Details(read_at, records)
            for name, read_at, count in head.details
            if (records := _read_details(name, [next(lines) for _ in range(count)])) is not None
        }
        logged_at = {(field, value): at for field, value, at in head.undocumented_logged_at}
        logged = {collector: frozenset(pairs) for collector, pairs in head.logged.items()}
        return SavedState(snapshot, logged_at, details, logged)


def encode_migrations(migrations: Migrations) -> bytes:
    """Return the content of the file of recorded migrations."""
    return _seal("migrations", [_split(migrations, _PAGE_ROWS)])


def decode_migrations(content: bytes) -> Migrations:
    """Return the migrations in the content of a file. Raise Unusable."""
    with _reporting_damage():
        lines = _unseal("migrations", content)
        return tuple(each for line in lines for each in _from_json(line, list[Migration]))[-MAX_MIGRATIONS:]


def _read_snapshot(head: _Head, account: AccountSettings, pages: Iterable[bytes]) -> Snapshot:
    decoder = Records(SOURCE_SERVERS)
    servers: list[SourceServer] = []
    unknown: Counter[tuple[str, str]] = Counter()
    for line in pages:
        page = decoder.page(line)
        servers.extend(page.records)
        unknown.update(page.unknown)
    return Snapshot(
        account=account.name,
        read_at=head.read_at,
        servers=tuple(servers),
        count=head.count,
        last_growth={server.id: head.last_growth.get(server.id, head.read_at) for server in servers},
        last_values={server_id: LastValues(*last) for server_id, last in head.last_values.items()},
        unknown=unknown,
        speed_unit_bytes=SPEED_UNITS[account.api.migrate_speed_unit],
    )


def _read_details(collector: str, lines: Iterable[bytes]) -> Mapping[str, Any] | None:
    """Return the records of a collector; None if this version of the exporter has others."""
    if collector not in DETAIL_COLLECTORS:
        return None
    alias = GenericAlias(dict, (str, DETAIL_COLLECTORS[collector].record_type))
    kind = cast("type[dict[str, Any]]", alias)
    try:
        return {name: record for line in lines for name, record in _from_json(line, kind).items()}
    except msgspec.ValidationError:
        return None


def _split(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _to_json(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # A text of the API with half of a surrogate pair, which JSON can express.
        return json.dumps(msgspec.to_builtins(value)).encode()


def _from_json(line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(line), kind)


def _seal(kind: str, parts: Iterable[Iterable[object]]) -> bytes:
    """Return values as the content of a file of that kind: a line of JSON for each."""
    compressor = isal_zlib.compressobj(_COMPRESSION_LEVEL, isal_zlib.DEFLATED, _GZIP_WBITS)
    compressed = [compressor.compress(_to_json(value) + b"\n") for part in parts for value in part]
    body = b"".join((*compressed, compressor.flush()))
    begin = f"huaweicloud-sms-exporter {kind} {VERSION} ".encode()
    return b"".join((begin, _checksum(begin, body).encode(), b"\n", body))


def _unseal(kind: str, content: bytes) -> Iterator[bytes]:
    """Return the lines of JSON in the content of a file of that kind. Raise Unusable."""
    header = _HEADER.match(content)
    if header is None or header[1] != kind.encode():
        raise Unusable("it was not written by this exporter, or its first line is damaged")
    if int(header[2]) != VERSION:
        raise Unusable(f"it has version {int(header[2])} of the format, and this exporter reads version {VERSION}")
    body = memoryview(content)[header.end() :]
    if _checksum(content[: header.start(3)], body) != header[3].decode():
        raise Unusable("it is damaged: its checksum is wrong")
    return _read_lines(body)


def _read_lines(body: memoryview) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        while line := file.readline(MAX_LINE_BYTES):
            yield line


def _checksum(begin: bytes, body: bytes | memoryview) -> str:
    digest = sha256(begin)
    digest.update(body)
    return digest.hexdigest()


@contextlib.contextmanager
def _reporting_damage() -> Iterator[None]:
    """Raise Unusable for whatever a content that is not as this exporter writes it raises."""
    try:
        yield
    except (
        ValueError,  # json, msgspec, UnicodeDecodeError
        TypeError,
        EOFError,
        OSError,  # gzip
        zlib.error,
        StopIteration,
        RecursionError,
        BadResponse,
    ) as error:
        raise Unusable(f"it is damaged: {type(error).__name__}") from error
