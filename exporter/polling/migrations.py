"""The record of finished and failed migrations, because the API forgets a server that is deleted."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, structs

from exporter.polling.snapshot import Snapshot
from exporter.sms.model import NO_TASK, NonNegativeInt, SourceServer

MAX_MIGRATIONS: Final = 20_000
"""Maximum number of migrations that are recorded per account; beyond it, the oldest are dropped."""

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""A time in seconds since the epoch, until the end of the year 9999."""

Result: TypeAlias = Literal["finished", "failed"]

RESULTS: Final[Mapping[str | None, Result]] = MappingProxyType({"finished": "finished", "error": "failed"})
"""The result of a migration, by the state of the server that ends it."""


class Migration(Struct, frozen=True, kw_only=True, gc=False):
    """A migration that has finished or failed. Times are in seconds since the epoch, None if unknown.

    `size` and `replicated` are in bytes. Those of a server that the API reports without sizes once it has finished are
    from the list before.
    """

    server_id: str
    name: str
    ip: str = ""
    task_id: str = ""
    result: Result
    started_at: Seconds | None = None
    ended_at: Seconds
    size: NonNegativeInt | None = None
    replicated: NonNegativeInt | None = None
    error_code: str = ""

    @property
    def duration(self) -> float | None:
        """The seconds from the start to the end, if both are known."""
        return self.ended_at - self.started_at if self.started_at is not None else None


Migrations: TypeAlias = tuple[Migration, ...]
"""The record of an account, the oldest first."""


def record_migrations(migrations: Migrations, snapshot: Snapshot, previous: Snapshot | None) -> Migrations:
    """Return the record with the migrations that ended between two lists; the same object if there are none.

    The migration of a server that is new in the list is recorded unless it is the newest one of that server already.
    """
    known = {server.id: server for server in previous.servers} if previous else {}
    changed = {transition.server.id for transition in snapshot.transitions}
    ended = [server for server in snapshot.servers if server.state in RESULTS]
    added = [_migration(server, snapshot, known.get(server.id)) for server in ended if server.id in changed]
    if unknown := [server for server in ended if server.id not in known]:
        added += _without_recorded((_migration(server, snapshot, None) for server in unknown), migrations)
    if added:
        added.sort(key=lambda migration: migration.ended_at)
        migrations = (*migrations, *added)[-MAX_MIGRATIONS:]
    return _with_error_codes(migrations, snapshot)


def _with_error_codes(migrations: Migrations, snapshot: Snapshot) -> Migrations:
    """Return the record with the codes of errors that were read after their migrations failed; they are read rarely."""
    errors = snapshot.details.get("errors")
    if errors is None or not errors.records:
        return migrations
    failed = {server.id for server in snapshot.servers if RESULTS.get(server.state) == "failed"}
    newest = {migration.server_id: index for index, migration in enumerate(migrations)}
    codes = {
        index: errors.records[server_id].code
        for server_id in failed & errors.records.keys() & newest.keys()
        if _lacks_code(migrations[index := newest[server_id]], errors.read_at)
    }
    if not codes:
        return migrations
    return tuple(
        structs.replace(migration, error_code=codes[index]) if index in codes else migration
        for index, migration in enumerate(migrations)
    )


def _lacks_code(migration: Migration, read_at: float) -> bool:
    return migration.result == "failed" and not migration.error_code and migration.ended_at <= read_at


def merge_migrations(saved: Migrations, recorded: Migrations) -> Migrations:
    """Return what was saved, and after it what was recorded without knowing it."""
    known = set(saved)
    return (*saved, *_without_recorded((each for each in recorded if each not in known), saved))[-MAX_MIGRATIONS:]


def _without_recorded(found: Iterable[Migration], migrations: Migrations) -> list[Migration]:
    """Return the migrations without those that are the newest one of their server in the record."""
    newest = {migration.server_id: _identity(migration) for migration in migrations}
    return [migration for migration in found if newest.get(migration.server_id) != _identity(migration)]


def _identity(migration: Migration) -> tuple[str, str, str]:
    return migration.server_id, migration.task_id, migration.result


def _migration(server: SourceServer, snapshot: Snapshot, before: SourceServer | None) -> Migration:
    task = server.current_task or (before.current_task if before else None) or NO_TASK
    started_at = (task.start_date or 0) / 1000
    return Migration(
        server_id=server.id,
        name=server.name or "",
        ip=server.ip or "",
        task_id=task.id or "",
        result=RESULTS[server.state],
        started_at=started_at if 0 < started_at <= snapshot.read_at else None,
        ended_at=_ended_at(server, snapshot, started_at),
        size=server.totalsize or (before.totalsize if before else server.totalsize),
        replicated=server.replicatesize or (before.replicatesize if before else server.replicatesize),
    )


def _ended_at(server: SourceServer, snapshot: Snapshot, started_at: float) -> float:
    """Return when the server came into its state: as the API reports it, else when the list shows it."""
    reported = (server.state_action_time or 0) / 1000
    return reported if started_at < reported <= snapshot.read_at else snapshot.read_at
