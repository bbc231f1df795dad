"""State that survives restarts: of an exporter in this process, and of real ones that are killed."""

import asyncio
import csv
import io
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import killed_writes
from alerting import alerting
from exporter.simulator import Simulator
from programs import exporter_command, free_port, program, run, started, until
from support import NOW, TIMEOUT_SECONDS, FakeClock, Scrape, exporting, fetch, next_poll, pass_time, scrape

KILLS = 200
LAST_INCREASE = "source_server_replicated_bytes_last_increase_timestamp_seconds"
MINUTE = 60.0


@pytest.fixture
async def simulator(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=20, seed=3, clock=clock) as running:
        yield running


def saving(path: Path) -> dict[str, Any]:
    return {"state": {"path": str(path / "state")}}


def replicating(simulator: Simulator) -> str:
    """Return the id of a server that replicates data."""
    moving = (record for record in simulator.fleet.records() if record["state"] == "replicate")
    return next(str(record["id"]) for record in moving if record["current_task"]["migrate_speed"])


async def test_a_restart_while_the_api_hangs_serves_the_last_list_at_once_with_its_true_age(
    clock: FakeClock, simulator: Simulator, tmp_path: Path
) -> None:
    async with exporting(simulator, clock, **saving(tmp_path)) as service:
        before = await scrape(service.urls[0])
    simulator.faults.add("hang")
    clock.advance(2 * MINUTE)
    async with exporting(simulator, clock, polled=False, **saving(tmp_path)) as service:
        after = await scrape(service.urls[0])
        ready, _, _ = await fetch(f"{service.urls[0]}/-/ready")
    assert ready == 200
    assert after.value("last_success_timestamp_seconds") == NOW
    assert (after.value("up"), after.value("exporter_state_restored")) == (0, 1)
    assert series_of_servers(after) == series_of_servers(before) != {}


def series_of_servers(seen: Scrape) -> object:
    return {key: value for key, value in seen.samples.items() if "server_id" in dict(key[1])}


async def test_without_the_option_a_restart_serves_nothing_before_the_first_poll(
    clock: FakeClock, simulator: Simulator
) -> None:
    async with exporting(simulator, clock):
        pass
    simulator.faults.add("hang")
    async with exporting(simulator, clock, polled=False) as service:
        seen = await scrape(service.urls[0])
        ready, _, _ = await fetch(f"{service.urls[0]}/-/ready")
    assert (ready, series_of_servers(seen)) == (503, {})
    assert seen.values("exporter_state_restored") == {}


async def test_a_restart_during_a_stall_does_not_restart_its_clock(
    clock: FakeClock, simulator: Simulator, tmp_path: Path
) -> None:
    stalled = replicating(simulator)
    simulator.fleet.stall(stalled)
    async with exporting(simulator, clock, **saving(tmp_path)):
        await pass_time(clock, 25 * MINUTE)
    async with exporting(simulator, clock, **saving(tmp_path)) as service:
        await pass_time(clock, 10 * MINUTE)
        seen = await scrape(service.urls[0])
    assert seen.value(LAST_INCREASE, server_id=stalled) == NOW


async def test_changes_of_state_during_a_restart_are_counted_and_logged(
    clock: FakeClock, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.fleet.freeze()
    failed = replicating(simulator)
    async with exporting(simulator, clock, **saving(tmp_path)):
        pass
    simulator.fleet.fail(failed)
    with capture_logs() as logs:
        async with exporting(simulator, clock, **saving(tmp_path)) as service:
            seen = await scrape(service.urls[0])
    assert seen.value("source_server_state_transitions_total", to_state="error") == 1
    assert [line["server_id"] for line in logs if line["event"] == "server changed state"] == [failed]


async def test_an_exporter_with_another_filter_does_not_serve_the_saved_list(
    clock: FakeClock, simulator: Simulator, tmp_path: Path
) -> None:
    async with exporting(simulator, clock, **saving(tmp_path)):
        pass
    with capture_logs() as logs:
        async with exporting(simulator, clock, filter={"state": "error"}, **saving(tmp_path)) as service:
            seen = await scrape(service.urls[0])
    assert seen.value("exporter_state_restored") == 0
    assert {dict(labels)["state"] for labels in seen.values("source_server_state")} <= {"error"}
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["saved state is not used"]


async def test_a_second_exporter_runs_without_the_directory_of_the_first(
    clock: FakeClock, simulator: Simulator, tmp_path: Path
) -> None:
    async with exporting(simulator, clock, **saving(tmp_path)):
        with capture_logs() as logs:
            async with exporting(simulator, clock, polled=False, **saving(tmp_path)) as second:
                await asyncio.gather(*(poller.polled.wait() for poller in second.pollers))
                seen = await scrape(second.urls[0])
    assert seen.value("up") == 1
    assert seen.value("exporter_state_last_write_successful") == 0
    assert [line["err"] for line in logs if line["log_level"] == "warning"] == ["another exporter uses this directory"]


async def test_a_process_that_is_killed_while_it_writes_leaves_the_last_state_or_the_next(tmp_path: Path) -> None:
    code, output, errors = await run(
        sys.executable, killed_writes.__file__, str(tmp_path), str(KILLS), PYTHONPATH=str(Path(__file__).parents[2])
    )
    assert code == 0, errors
    kills = [tuple(map(int, line.split())) for line in output.splitlines()]
    assert len(kills) == KILLS
    assert [(complete, found) for complete, found in kills if found - complete not in {0, 1}] == []
    # Some were killed before the rename, some after it, and some after several states.
    assert {found - complete for complete, found in kills} == {0, 1}
    assert max(found for _, found in kills) > 1


def command(simulator: Simulator, path: Path, *options: str) -> tuple[str, ...]:
    address = f"--web.listen-address=127.0.0.1:{free_port()}"
    return exporter_command(
        address, f"--api.endpoint={simulator.url}", f"--auth.token={simulator.token}", f"--state.path={path}", *options
    )


def url_of(exporter: tuple[str, ...]) -> str:
    return f"http://{next(word for word in exporter if word.startswith('--web.')).partition('=')[2]}"


async def is_saved(exporter: tuple[str, ...]) -> Scrape | None:
    """Return the metrics, or None while the state has not been saved."""
    seen = await scrape(url_of(exporter))
    return seen if seen.value("exporter_state_last_write_successful") == 1 else None


async def test_an_exporter_that_is_killed_continues_with_its_last_list(tmp_path: Path) -> None:
    async with Simulator(servers=20, acceleration=1) as simulator:
        exporter = command(simulator, tmp_path)
        async with started(*exporter, ends_with=-signal.SIGKILL) as process:
            before = await until(lambda: is_saved(exporter))
            process.kill()
            await process.wait()
        simulator.faults.add("hang")
        async with started(*exporter):
            after = await until(lambda: scrape(url_of(exporter)))
    assert after.value("last_success_timestamp_seconds") == before.value("last_success_timestamp_seconds")
    assert after.values("source_server_state") == before.values("source_server_state") != {}


async def test_a_disk_on_which_no_file_can_grow_is_logged_once_while_polling_continues(tmp_path: Path) -> None:
    async with Simulator(servers=100) as simulator:
        exporter = command(simulator, tmp_path, "--poll.interval=1s")
        limited = ("sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *exporter)
        async with started(*limited) as process:

            async def has_polled_often() -> Scrape | None:
                seen = await scrape(url_of(exporter))
                return seen if (seen.value("exporter_polls_total") or 0) >= 3 else None

            seen = await until(has_polled_often)
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            async with asyncio.timeout(TIMEOUT_SECONDS):
                lines = (await process.stderr.read()).decode().splitlines()
    assert seen.value("up") == 1
    assert seen.value("exporter_state_last_write_successful") == 0
    assert sum("state cannot be saved" in line and "File too large" in line for line in lines) == 1
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


async def test_a_stall_is_alerted_on_although_the_exporter_is_killed_meanwhile(tmp_path: Path) -> None:
    program("prometheus")
    program("prometheus-alertmanager")
    async with Simulator(servers=20, acceleration=1) as simulator:
        exporter = command(simulator, tmp_path / "state", "--poll.interval=1s", "--poll.timeout=1s")
        stalled = replicating(simulator)
        async with alerting(tmp_path, url_of(exporter).removeprefix("http://")) as (prometheus, _, inbox):
            async with started(*exporter, ends_with=-signal.SIGKILL) as process:
                simulator.fleet.stall(stalled)
                series = f"huaweicloud_sms_{LAST_INCREASE}{{server_id='{stalled}'}}"
                # A third of the time after which a stall is alerted on.
                await prometheus.value(f"time() - {series} > 5")
                since = await prometheus.value(series)
                process.kill()
                await process.wait()
            async with started(*exporter):
                seen = await until(lambda: scrape(url_of(exporter)))
                assert seen.value("exporter_state_restored") == 1

                async def notified() -> object:
                    return inbox.received("firing", alertname="SmsServerStalled", server_id=stalled)

                await until(notified)
                assert await prometheus.value(series) == since


async def test_a_server_that_fails_and_is_deleted_stays_on_the_page_and_in_csv_also_after_a_restart(
    clock: FakeClock, simulator: Simulator, tmp_path: Path
) -> None:
    failed = replicating(simulator)
    name = simulator.fleet.record(failed)["name"]
    async with exporting(simulator, clock, **saving(tmp_path)):
        simulator.fleet.fail(failed)
        await next_poll(clock)
        simulator.fleet.remove(failed)
        await next_poll(clock)
    async with exporting(simulator, clock, **saving(tmp_path)) as service:
        _, text, _ = await fetch(f"{service.urls[0]}/migrations?result=failed")
        status, table, headers = await fetch(f"{service.urls[0]}/migrations.csv?result=failed")
    assert f"<bdi>{name}</bdi>" in text
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = [row for row in csv.DictReader(io.StringIO(table)) if row["id"] == failed]
    assert [(row["name"], row["result"]) for row in rows] == [(name, "failed")]


async def test_without_the_option_the_page_says_how_migrations_are_recorded(
    clock: FakeClock, simulator: Simulator
) -> None:
    async with exporting(simulator, clock) as service:
        status, text, _ = await fetch(f"{service.urls[0]}/migrations")
    assert status == 200
    assert "<code>--state.path</code>" in text
