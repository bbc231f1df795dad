import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from exporter.polling.migrations import Migration
from exporter.polling.snapshot import Details
from exporter.polling.state import Account, Persistence
from exporter.polling.state_directory import MAX_FILE_BYTES, DirectoryInUse, StateDirectory, SystemFiles
from exporter.polling.state_format import encode_migrations
from exporter.polling.state_store import MAX_CLOCK_ERROR_SECONDS, StateStore, file_stem
from exporter.settings import NO_DETAILS, AccountSettings, DetailSettings
from exporter.sms.details import MigrationError
from support import NOW, FakeClock, account, run_ahead, server, snapshot

FINISHED = Migration(server_id="old", name="old", result="finished", ended_at=NOW - 5)


class BrokenDisk(SystemFiles):
    """A disk on which writes fail while `error` is set, and hang while `hanging` is set."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.released = threading.Event()
        self.released.set()

    def write(self, descriptor: int, data: memoryview) -> int:
        self.released.wait()
        if self.error is not None:
            raise self.error
        return super().write(descriptor, data)


class Process:
    """An exporter's store of one directory, as one process has it."""

    def __init__(self, path: Path, clock: FakeClock, files: SystemFiles | None = None) -> None:
        self.path = path
        self.store = StateStore(StateDirectory(path, files), clock)
        self.clock = clock

    async def open(self, settings: AccountSettings | None = None, details: DetailSettings = NO_DETAILS) -> Account:
        return await self.store.load(settings or account(), details)

    async def poll(self, opened: Account, *names: str, **fields: Any) -> None:
        """Let a poll read these servers, and wait until the state is written."""
        servers = [server(name, **fields) for name in names]
        read = snapshot(*servers, account=opened.name, read_at=self.clock.time())
        opened.state.snapshot = replace(read, last_growth=dict.fromkeys(names, self.clock.time()))
        self.store.save(opened)
        await self.written()

    async def written(self) -> None:
        assert self.store._writing is not None
        await self.store._writing

    async def stop(self) -> None:
        await self.store.close()


@pytest.fixture
async def first(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Process]:
    process = Process(tmp_path, clock)
    yield process
    await process.stop()


def served(opened: Account, now: float) -> list[str] | None:
    current = opened.served_snapshot(now)
    return None if current is None else [server.id for server in current.servers]


def warnings(logs: Sequence[Any]) -> list[str]:
    return [line["event"] for line in logs if line["log_level"] == "warning"]


async def test_a_restarted_process_continues_with_what_was_saved(first: Process, clock: FakeClock) -> None:
    opened = await first.open()
    opened.state.undocumented_logged_at["state", "odd"] = NOW
    await first.poll(opened, "a", "b")
    await first.stop()
    clock.advance(60)
    second = Process(first.path, clock)
    with capture_logs() as logs:
        restarted = await second.open()
    assert served(restarted, clock.time()) == ["a", "b"]
    assert restarted.state.snapshot is not None
    assert restarted.state.snapshot.read_at == NOW
    assert restarted.state.persistence is not None
    assert restarted.state.persistence.restored
    assert restarted.state.undocumented_logged_at == {("state", "odd"): NOW}
    await second.poll(restarted, "a")
    assert restarted.state.persistence == Persistence(restored=True, up=True, written_at=clock.time())
    await second.stop()
    assert [(line["event"], line["age_seconds"]) for line in logs] == [("state restored", 60)]


async def test_a_first_start_has_no_state_and_no_warning(first: Process) -> None:
    with capture_logs() as logs:
        opened = await first.open()
    assert (opened.state.snapshot, opened.state.migrations, logs) == (None, (), [])
    assert opened.state.persistence is not None
    assert not opened.state.persistence.restored
    assert opened.state.persistence.up is None


async def test_saved_data_that_is_stale_is_known_but_not_served(first: Process, clock: FakeClock) -> None:
    opened = await first.open()
    await first.poll(opened, "a")
    await first.stop()
    clock.advance(opened.settings.poll.stale_after + 1)
    restarted = await Process(first.path, clock).open()
    assert served(restarted, clock.time()) is None
    assert restarted.state.snapshot is not None


async def test_data_from_the_future_is_not_used(first: Process, clock: FakeClock) -> None:
    opened = await first.open()
    await first.poll(opened, "a")
    await first.stop()
    clock.set(-opened.settings.poll.stale_after)
    second = Process(first.path, clock)
    assert (await second.open()).state.snapshot is not None
    await second.stop()
    clock.set(-1)
    with capture_logs() as logs:
        restarted = await Process(first.path, clock).open()
    assert restarted.state.snapshot is None
    assert [line["reason"] for line in logs] == ["it is from the future: the clock was set back"]


async def test_details_are_served_while_they_are_not_stale(first: Process, clock: FakeClock) -> None:
    details = DetailSettings(("errors",), 1)
    opened = await first.open(details=details)
    read = Details(NOW, {"a": MigrationError(id="a", error_json="SMS.0515")})
    opened.state.collectors["errors"] = replace(opened.collector_state("errors"), details=read)
    await first.poll(opened, "a")
    await first.stop()
    restarted = await Process(first.path, clock).open(details=details)
    assert restarted.collector_state("errors").up
    assert restarted.state.snapshot is not None
    assert restarted.state.snapshot.details["errors"].records["a"].code == "SMS.0515"


async def test_the_state_of_another_list_is_kept_aside_and_the_record_is_continued(
    first: Process, clock: FakeClock
) -> None:
    opened = await first.open()
    opened.state.migrations = (FINISHED,)
    await first.poll(opened, "a")
    await first.stop()
    changed = Process(first.path, clock)
    with capture_logs() as logs:
        restarted = await changed.open(account(filter={"state": "error"}))
    assert restarted.state.snapshot is None
    assert restarted.state.migrations == (FINISHED,)
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("saved state is not used", "it is of another list: api.endpoint, api.region or a filter was changed")
    ]
    assert (first.path / f"{file_stem('default')}.state.unused").exists()
    await changed.poll(restarted, "b")


async def test_a_migration_that_was_not_recorded_before_a_crash_is_recorded_by_the_next_process(
    first: Process, clock: FakeClock
) -> None:
    await first.poll(await first.open(), "a", state="finished")
    await first.stop()
    second = Process(first.path, clock)
    restarted = await second.open()
    assert [migration.server_id for migration in restarted.state.migrations or ()] == ["a"]
    await second.poll(restarted, "a", state="finished")
    await second.stop()
    third = await Process(first.path, clock).open()
    assert third.state.migrations == restarted.state.migrations


async def test_a_damaged_file_is_kept_aside_and_replaced_by_the_next_poll(first: Process, clock: FakeClock) -> None:
    path = first.path / f"{file_stem('default')}.state"
    await first.poll(await first.open(), "a")
    await first.stop()
    path.write_bytes(path.read_bytes()[:-1])
    second = Process(path.parent, clock)
    with capture_logs() as logs:
        restarted = await second.open()
    assert restarted.state.snapshot is None
    assert warnings(logs) == ["saved state is not used"]
    await second.poll(restarted, "b")
    await second.stop()
    assert served(await Process(path.parent, clock).open(), NOW) == ["b"]


def write_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "it is a directory, not a regular file"),
    "a FIFO": (os.mkfifo, "it is a FIFO, not a regular file"),
    "huge": (write_huge, "it is larger than 268435456"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("ending", ["state", "migrations"])
async def test_something_else_in_place_of_a_file_is_kept_aside_and_named(
    ending: str, kind: str, tmp_path: Path, clock: FakeClock
) -> None:
    create, reason = UNUSABLE[kind]
    path = tmp_path / f"{file_stem('default')}.{ending}"
    create(path)
    process = Process(tmp_path, clock)
    with capture_logs() as logs:
        opened = await process.open()
        opened.state.migrations = (FINISHED,)
        await process.poll(opened, "a")
    await process.stop()
    (line,) = logs
    assert (line["event"], line["file"]) == ("saved state is not used", str(path))
    assert line["reason"].startswith(reason)
    assert (tmp_path / f"{path.name}.unused").exists()
    assert path.is_file()


async def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / f"{file_stem('default')}.state"
    process = Process(tmp_path, clock)
    opened = await process.open()
    path.mkdir()
    with capture_logs() as logs:
        await process.poll(opened, "a")
    await process.stop()
    assert [line["err"] for line in logs] == [f"{path}: Is a directory"]


async def test_a_record_of_migrations_that_end_in_the_future_is_kept_aside(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / f"{file_stem('default')}.migrations"
    tomorrow = structs.replace(FINISHED, ended_at=NOW + MAX_CLOCK_ERROR_SECONDS)
    path.write_bytes(encode_migrations((tomorrow,)))
    process = Process(tmp_path, clock)
    assert (await process.open()).state.migrations == (tomorrow,)
    await process.stop()
    path.write_bytes(encode_migrations((structs.replace(tomorrow, ended_at=tomorrow.ended_at + 1),)))
    with capture_logs() as logs:
        opened = await Process(tmp_path, clock).open()
    assert opened.state.migrations == ()
    assert [line["reason"] for line in logs] == ["it is from the future: the clock was set back"]
    assert (tmp_path / f"{path.name}.unused").exists()


async def test_accounts_have_files_of_their_own(first: Process, clock: FakeClock) -> None:
    names = ("shop", "Shop", "sh/op", "../shop", "店", "x" * 255)
    for name in names:
        await first.poll(await first.open(account(account={"name": name})), f"of {name!r}")
    await first.stop()
    second = Process(first.path, clock)
    for name in names:
        assert served(await second.open(account(account={"name": name})), NOW) == [f"of {name!r}"]


async def test_a_full_disk_is_logged_once_and_its_end_too(tmp_path: Path, clock: FakeClock) -> None:
    disk = BrokenDisk()
    process = Process(tmp_path, clock, disk)
    shop, depot = [await process.open(account(account={"name": name})) for name in ("shop", "depot")]
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    with capture_logs() as logs:
        for _ in range(3):
            for each in (shop, depot):
                await process.poll(each, "a")
                assert each.state.persistence is not None
                assert each.state.persistence.up is False
    assert [(line["event"], line["err"]) for line in logs] == [
        ("state cannot be saved, continuing without", "No space left on device")
    ]
    disk.error = None
    with capture_logs() as logs:
        for each in (shop, depot):
            await process.poll(each, "a")
    assert [line["event"] for line in logs] == ["state is saved again"]
    assert depot.state.persistence is not None
    assert (depot.state.persistence.up, depot.state.persistence.written_at) == (True, NOW)
    await process.stop()


async def test_while_the_disk_hangs_accounts_are_opened_without_it_until_it_answers_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    disk = BrokenDisk()
    process = Process(tmp_path, clock, disk)
    shop, depot = (account(account={"name": name}) for name in ("shop", "depot"))
    opened = await process.open(shop)
    disk.released.clear()
    with capture_logs() as logs:
        await run_ahead(process.poll(opened, "a"))
        other = await process.open(depot)
    assert [line["err"] for line in logs] == ["the disk did not answer within 30 seconds"]
    assert (other.name, other.state.snapshot, other.state.migrations) == ("depot", None, ())
    disk.released.set()
    for each, name in ((opened, "b"), (other, "c")):
        await process.poll(each, name)
    assert [served(await process.open(each), NOW) for each in (shop, depot)] == [["b"], ["c"]]
    await process.stop()


async def test_a_state_that_changes_while_it_is_written_is_written_again(tmp_path: Path, clock: FakeClock) -> None:
    disk = BrokenDisk()
    process = Process(tmp_path, clock, disk)
    opened = await process.open()
    disk.released.clear()
    for name in ("a", "b", "c"):
        opened.state.snapshot = snapshot(server(name))
        process.store.save(opened)
    disk.released.set()
    await process.stop()
    assert served(await Process(tmp_path, clock).open(), NOW) == ["c"]


async def test_a_second_process_runs_without_the_directory_until_the_first_has_ended(
    first: Process, clock: FakeClock
) -> None:
    ours = await first.open()
    ours.state.migrations = (FINISHED,)
    await first.poll(ours, "a")
    second = Process(first.path, clock)
    with capture_logs() as logs:
        theirs = await second.open()
        await second.poll(theirs, "b")
    assert [(line["err"], line["hint"]) for line in logs] == [
        ("another exporter uses this directory", "give each exporter a directory of its own")
    ]
    assert theirs.state.snapshot is not None
    await first.poll(ours, "a")
    await first.stop()
    newer = replace_id(FINISHED, "new")
    theirs.state.migrations = (newer,)
    await second.poll(theirs, "b")
    await second.stop()
    third = await Process(first.path, clock).open()
    assert served(third, NOW) == ["b"]
    assert third.state.migrations == (FINISHED, newer)


def replace_id(migration: Migration, server_id: str) -> Migration:
    return Migration(server_id=server_id, name="", result=migration.result, ended_at=migration.ended_at)


async def test_a_record_that_cannot_be_read_again_is_not_lost(first: Process, clock: FakeClock) -> None:
    opened = await first.open()
    opened.state.migrations = (FINISHED,)
    await first.poll(opened, "a")
    file = first.path / f"{file_stem('default')}.migrations"
    hidden = file.rename(file.with_name("hidden"))
    file.symlink_to(file)
    # As a reload opens it that changes the list.
    changed = await first.open(account(filter={"state": "error"}))
    await first.poll(changed, "b")
    assert file.is_symlink()
    file.unlink()
    hidden.rename(file)
    await first.poll(changed, "b")
    await first.stop()
    third = await Process(file.parent, clock).open(account(filter={"state": "error"}))
    assert third.state.migrations == (FINISHED,)


async def test_a_record_is_written_only_if_it_has_changed(first: Process) -> None:
    opened = await first.open()
    opened.state.migrations = (FINISHED,)
    await first.poll(opened, "a")
    file = first.path / f"{file_stem('default')}.migrations"
    file.unlink()
    await first.poll(opened, "b")
    assert not file.exists()
    opened.state.migrations = (FINISHED, replace_id(FINISHED, "new"))
    await first.poll(opened, "c")
    assert file.exists()


async def test_a_defect_while_the_state_is_saved_is_logged_with_its_traceback(first: Process) -> None:
    opened = await first.open()
    broken: Any = object()
    opened.state.snapshot = broken
    first.store.save(opened)
    with capture_logs() as logs:
        await first.written()
    assert [(line["err"], type(line["exc_info"])) for line in logs] == [
        ("defect of the exporter: AttributeError", AttributeError)
    ]
    await first.poll(opened, "a")
    assert opened.state.persistence is not None
    assert opened.state.persistence.up


async def test_a_directory_that_is_removed_is_created_again(tmp_path: Path, clock: FakeClock) -> None:
    process = Process(tmp_path / "state", clock)
    opened = await process.open()
    await process.poll(opened, "a")
    shutil.rmtree(process.path)
    with capture_logs() as logs:
        await process.poll(opened, "b")
        await process.poll(opened, "c")
    await process.stop()
    assert [line["event"] for line in logs] == ["state cannot be saved, continuing without", "state is saved again"]
    assert served(await Process(process.path, clock).open(), NOW) == ["c"]


async def test_an_exporter_that_stops_while_the_disk_hangs_does_not_wait_for_it_and_keeps_the_lock(
    tmp_path: Path, clock: FakeClock
) -> None:
    disk = BrokenDisk()
    process = Process(tmp_path, clock, disk)
    opened = await process.open()
    opened.state.snapshot = snapshot(server("a"))
    disk.released.clear()
    process.store.save(opened)
    await run_ahead(process.stop())
    with pytest.raises(DirectoryInUse):
        StateDirectory(tmp_path).lock()
    disk.released.set()


async def test_a_directory_that_cannot_be_created_stops_nothing(tmp_path: Path, clock: FakeClock) -> None:
    process = Process(tmp_path / "missing" / "state", clock)
    with capture_logs() as logs:
        opened = await process.open()
        await process.poll(opened, "a")
    assert warnings(logs) == ["state cannot be saved, continuing without"]
    assert served(opened, NOW) == ["a"]


async def test_a_file_in_place_of_the_directory_stops_nothing(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "state").write_text("a file")
    with capture_logs() as logs:
        await Process(tmp_path / "state", clock).open()
    assert [line["err"] for line in logs] == [f"{tmp_path / 'state' / '.lock'}: Not a directory"]
