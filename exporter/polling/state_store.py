"""Saves what the polls of all accounts have learned, so that a restarted exporter continues with it.

Nothing waits for the disk: a poll starts a write and continues, and a disk that is full or hangs stops no poll.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Final, TypeVar

from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.logs import get_logger
from exporter.polling.migrations import Migrations, merge_migrations, record_migrations
from exporter.polling.state import Account, AccountState, CollectorState, Persistence
from exporter.polling.state_directory import DirectoryInUse, StateDirectory
from exporter.polling.state_format import (
    SavedState,
    Unusable,
    decode_migrations,
    decode_state,
    encode_migrations,
    encode_state,
)
from exporter.settings import AccountSettings, DetailSettings
from exporter.settings.files import UnusableFile

DISK_TIMEOUT_SECONDS: Final = 30.0
"""Time after which reading or writing the files of an account counts as failed."""

LAST_WRITE_SECONDS: Final = 3.0
"""Time that a stopping exporter waits for the last write."""

MAX_CLOCK_ERROR_SECONDS: Final = 86_400.0
"""How far in the future the end of a recorded migration may be, because the clock was set back a little."""

_FROM_THE_FUTURE: Final = "it is from the future: the clock was set back"
_HINT: Final = "check the disk, the permissions and the free space of state.path"
_HINT_IN_USE: Final = "give each exporter a directory of its own"

T = TypeVar("T")

log = get_logger(__name__)


def file_stem(account: str) -> str:
    """Return the name of an account's files without the ending; names that differ have files that differ."""
    digest = sha256(account.encode()).hexdigest()
    return f"{re.sub('[^0-9A-Za-z]+', '-', account)[:40].strip('-')}-{digest[:16]}".lstrip("-")


class StateStore:
    """The saved states of all accounts, in one directory.

    An account is loaded when it is opened, and saved after each complete poll. Two processes never share a directory:
    the second one runs without, until the first has ended.
    """

    def __init__(self, directory: StateDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._worker = Worker()
        self._hangs = False
        self._migrations: dict[str, Migrations] = {}
        """The record of each account as its file has it, once it is known."""
        self._pending: dict[str, Account] = {}
        self._writing: asyncio.Task[None] | None = None
        self._problems: dict[str, str] = {}

    async def load(self, settings: AccountSettings, details: DetailSettings) -> Account:
        """Return the account with its saved state, or with an empty one if there is none that can be used."""
        account = Account(settings, AccountState(migrations=(), persistence=Persistence()), details=details)
        # Until the file has been read again, what is recorded meanwhile must not replace it.
        self._migrations.pop(settings.name, None)
        # While the disk hangs, the other accounts of the configuration do not wait for it too.
        if self._hangs:
            return account
        try:
            saved, recorded = await self._within_timeout(self._load, settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the account can be polled without
            self._failed(account, error)
            return account
        account.state.migrations = self._migrations[settings.name] = recorded
        if saved is not None:
            # The process may have ended after it had saved the list, and before the migrations that it shows.
            account.state.migrations = record_migrations(recorded, saved.snapshot, None)
            self._restore(account, saved)
        return account

    def save(self, account: Account) -> None:
        """Start to write the state of an account. One that is saved again meanwhile is written once more."""
        self._pending[account.name] = account
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_pending())

    async def close(self) -> None:
        """Wait until everything is written, but only for a short time, and unlock the directory."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=LAST_WRITE_SECONDS)
            if not self._writing.done():
                # A thread may still write, so the directory stays locked until the process ends.
                return
        self._directory.close()

    def _load(self, settings: AccountSettings) -> tuple[SavedState | None, Migrations]:
        """Return what is saved of an account. Runs in a thread."""

        def decode(content: bytes) -> SavedState:
            saved = decode_state(content, settings)
            if saved.snapshot.read_at > self._clock.time() + settings.poll.stale_after:
                raise Unusable(_FROM_THE_FUTURE)
            return saved

        self._directory.lock()
        saved = self._read(f"{file_stem(settings.name)}.state", settings.name, decode)
        return saved, self._load_migrations(settings.name)

    def _load_migrations(self, account: str) -> Migrations:
        def decode(content: bytes) -> Migrations:
            migrations = decode_migrations(content)
            if any(each.ended_at > self._clock.time() + MAX_CLOCK_ERROR_SECONDS for each in migrations):
                raise Unusable(_FROM_THE_FUTURE)
            return migrations

        self._directory.lock()
        return self._read(f"{file_stem(account)}.migrations", account, decode) or ()

    def _read(self, name: str, account: str, decode: Callable[[bytes], T]) -> T | None:
        """Return what a file contains; None if there is none, or if it cannot be used, which is logged."""
        try:
            content = self._directory.read(name)
            return None if content is None else decode(content)
        except (Unusable, UnusableFile) as error:
            file = str(self._directory.path / name)
            reason = error.strerror if isinstance(error, UnusableFile) else str(error)
            log.warning("saved state is not used", account=account, file=file, reason=reason)
            with contextlib.suppress(OSError):
                self._directory.keep_aside(name)
            return None

    def _restore(self, account: Account, saved: SavedState) -> None:
        now, state = self._clock.time(), account.state
        for collector in account.details.collectors:
            if collector in saved.details:
                state.collectors[collector] = CollectorState(saved.details[collector])
        state.undocumented_logged_at.update(saved.undocumented_logged_at)
        for collector, logged in saved.logged.items():
            state.logged[collector].update(logged)
        state.snapshot = replace(saved.snapshot, details=account.served_details(now))
        state.persistence = Persistence(restored=True)
        age = round(now - saved.snapshot.read_at)
        log.info("state restored", account=account.name, servers=len(saved.snapshot.servers), age_seconds=age)

    async def _write_pending(self) -> None:
        while self._pending:
            account = self._pending.pop(next(iter(self._pending)))
            try:
                await self._write(account)
            except Exception as error:  # noqa: BLE001 - polling continues whatever it is
                self._failed(account, error)
            else:
                self._succeeded(account)

    async def _write(self, account: Account) -> None:
        name, state = account.name, account.state
        if name not in self._migrations:
            # The directory was not available when the account was opened, and another process may have written it.
            recorded = await self._within_timeout(self._load_migrations, name)
            async with state.publishing:
                state.migrations = merge_migrations(recorded, state.migrations or ())
            self._migrations[name] = recorded
        snapshot, migrations = state.snapshot, state.migrations or ()
        if snapshot is None:
            return
        details = {collector: each.details for collector, each in state.collectors.items() if each.details is not None}
        logged = {collector: frozenset(each) for collector, each in state.logged.items()}
        saved = SavedState(snapshot, dict(state.undocumented_logged_at), details, logged)
        await self._within_timeout(self._write_state, account, saved)
        # The record is unchanged after most polls.
        if migrations is not self._migrations[name]:
            await self._within_timeout(self._write_migrations, name, migrations)
            self._migrations[name] = migrations

    def _write_state(self, account: Account, saved: SavedState) -> None:
        self._directory.lock()
        self._directory.write(f"{file_stem(account.name)}.state", encode_state(saved, account.settings))

    def _write_migrations(self, account: str, migrations: Migrations) -> None:
        self._directory.write(f"{file_stem(account)}.migrations", encode_migrations(migrations))

    async def _within_timeout(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in the thread of the disk. Raise TimeoutError if it hangs."""
        try:
            async with asyncio.timeout(DISK_TIMEOUT_SECONDS):
                result = await self._worker.run(function, *args)
        except TimeoutError:
            self._hangs = True
            raise
        self._hangs = False
        return result

    def _succeeded(self, account: Account) -> None:
        account.state.persistence = replace(_persistence(account), up=True, written_at=self._clock.time())
        if self._problems.pop(account.name, None) and not self._problems:
            log.info("state is saved again", path=str(self._directory.path))

    def _failed(self, account: Account, error: Exception) -> None:
        """Record a failure; log it unless it is the same as before, also of another account."""
        account.state.persistence = replace(_persistence(account), up=False)
        problem = _describe(error)
        is_new = problem not in self._problems.values()
        self._problems[account.name] = problem
        if is_new:
            log.warning(
                "state cannot be saved, continuing without",
                path=str(self._directory.path),
                err=_name_file(error, problem),
                hint=_HINT_IN_USE if isinstance(error, DirectoryInUse) else _HINT,
                exc_info=None if isinstance(error, OSError) else error,
            )


def _persistence(account: Account) -> Persistence:
    return account.state.persistence or Persistence()


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"the disk did not answer within {DISK_TIMEOUT_SECONDS:g} seconds"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"defect of the exporter: {type(error).__name__}"


def _name_file(error: Exception, problem: str) -> str:
    file = isinstance(error, OSError) and (error.filename2 or error.filename)
    return f"{file}: {problem}" if file else problem
