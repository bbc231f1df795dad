"""The command `capture` against the simulator, and the simulator that replays what it wrote."""

import asyncio
import re
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import UNSET

from exporter.capture.anonymizer import Anonymizer
from exporter.capture.file import Capture, Exchange, encode_capture, read_capture
from exporter.commands.capture import describe
from exporter.commands.capture_reading import build_capture, record_answers
from exporter.polling.connections import Runtime
from exporter.settings import Settings
from exporter.settings.tree import DETAIL_COLLECTORS
from exporter.simulator import BadFault, Fleet, Simulator
from exporter.simulator.details import build_error, build_task
from programs import exporter_command, run, run_in_process, run_in_terminal
from support import NOW, NOWHERE, FakeClock, Scrape, exporting, scrape

ALL = {"disks": True, **dict.fromkeys(DETAIL_COLLECTORS, True)}
PRIVATE_FIELDS = {"id", "name", "ip", "ipv6", "vm_id", "host_name", "uuid", "project_id", "log_share_url", "source_id"}
HARMLESS_NAMES = re.compile(r"[A-Z0-9_]+|/dev/\w+|Disk \d|[A-Z]:|\(Reserved\)|MigrationTask|root|data")


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    fleet = Fleet(120, clock=clock)
    fleet.freeze()
    async with Simulator(fleet=fleet, clock=clock) as simulator:
        yield simulator


async def captured(sim: Simulator, clock: FakeClock, **groups: object) -> Capture:
    """Capture a simulator with all collectors."""
    tree = Settings.model_validate(
        {
            "api": {"endpoint": sim.url, "connect_timeout": "1s", "read_timeout": "1s"},
            "auth": {"token": sim.token},
            "collector": ALL,
        }
        | groups
    )
    (account,) = tree.targets()
    details = tree.collector.details
    recorder = await record_answers(account, details, Runtime(clock, {}, NOWHERE))
    return build_capture(recorder, account, details.collectors, NOW, Anonymizer())


def private_texts(value: Any, key: str = "") -> Iterator[str]:
    """Return the texts of private fields in any JSON."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from private_texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from private_texts(item, key)
    elif isinstance(value, str) and key in PRIVATE_FIELDS and value and not HARMLESS_NAMES.fullmatch(value):
        yield value


def error_code_of(exchange: Exchange) -> object:
    assert isinstance(exchange.body, dict)
    return exchange.body["error_code"]


async def exposed(sim: Simulator, clock: FakeClock) -> Scrape:
    """Return what an exporter of the simulator exposes, after the first reading of all collectors."""
    async with exporting(sim, clock, collector=ALL, polled=False) as service:
        await clock.until_asleep(1 + len(DETAIL_COLLECTORS))
        return await scrape(service.urls[0])


async def test_a_capture_has_none_of_the_names_addresses_and_ids_of_the_fleet(sim: Simulator, clock: FakeClock) -> None:
    content = encode_capture(await captured(sim, clock)).decode()

    migrations = sim.fleet.select().migrations()
    originals = sim.fleet.records() + [build_task(each) for each in migrations if each.task]
    originals += [build_error(each) for each in migrations if each.record["state"] == "error"]
    private = set(private_texts(originals))
    assert len(private) > 1000
    assert {sim.fleet.ids[0], sim.fleet.record(sim.fleet.ids[0])["name"]} <= private
    assert [text for text in private if text in content] == []
    assert sim.token not in content
    assert "127.0.0.1" not in content


async def test_a_replay_of_a_capture_has_the_same_fleet_metrics(sim: Simulator, clock: FakeClock) -> None:
    live = await exposed(sim, clock)
    capture = await captured(sim, clock)
    async with Simulator(replay=capture, clock=clock) as replaying:
        replayed = await exposed(replaying, clock)

    assert replayed.value("up") == 1
    assert set(replayed.values("collector_up").values()) == {1}
    fleet = {
        key: value
        for key, value in live.samples.items()
        if key[0].startswith(("huaweicloud_sms_source_servers", "huaweicloud_sms_api_source"))
    }
    assert len(fleet) > 60
    assert {key: replayed.samples.get(key) for key in fleet} == fleet


async def test_a_replay_has_as_many_series_of_every_metric_with_the_same_values(
    sim: Simulator, clock: FakeClock
) -> None:
    def values(seen: Scrape) -> dict[str, list[float]]:
        names = {name for name, _ in seen.samples if name.startswith("huaweicloud_sms_")}
        own = re.compile(r"huaweicloud_sms_(exporter_|account_info|collector_)")
        return {
            name: sorted(value for (sample, _), value in seen.samples.items() if sample == name)
            for name in names
            if not own.match(name)
        }

    live = await exposed(sim, clock)
    async with Simulator(replay=await captured(sim, clock), clock=clock) as replaying:
        replayed = await exposed(replaying, clock)

    assert values(replayed) == values(live)
    assert len(values(live)) > 50


async def test_a_capture_has_the_refusal_of_a_collector_and_the_replay_repeats_it(
    sim: Simulator, clock: FakeClock
) -> None:
    sim.permissions.deny("sms:server:listErrors")
    capture = await captured(sim, clock)
    (refusal,) = [exchange for exchange in capture.exchanges if exchange.path == "/v3/errors"]

    assert (refusal.status, error_code_of(refusal)) == (403, "SMS.9004")
    async with Simulator(replay=capture, clock=clock) as replaying:
        seen = await exposed(replaying, clock)
    assert seen.value("collector_up", collector="errors") == 0
    assert seen.value("collector_failures_total", collector="errors", reason="permission") == 1


async def test_retries_are_captured_and_replayed_in_their_order(sim: Simulator, clock: FakeClock) -> None:
    sim.faults.add("throttled=0,times=1,path=/v3/sources")
    tree: dict[str, object] = {"collector": {}}
    reading = asyncio.ensure_future(captured(sim, clock, **tree))
    clock.advance(await clock.until_asleep())
    capture = await reading
    assert [(exchange.status, exchange.headers.get("retry-after")) for exchange in capture.exchanges] == [
        (429, "0"),
        (200, None),
    ]
    async with Simulator(replay=capture, clock=clock) as replaying:
        again = asyncio.ensure_future(captured(replaying, clock, **tree))
        clock.advance(await clock.until_asleep())
        assert [exchange.status for exchange in (await again).exchanges] == [429, 200]
        assert [exchange.status for exchange in (await captured(replaying, clock, **tree)).exchanges] == [200]


async def test_an_answer_that_is_not_json_has_only_its_size(sim: Simulator, clock: FakeClock) -> None:
    sim.faults.add("html,path=/v3/errors")
    capture = await captured(sim, clock)
    (page,) = [exchange for exchange in capture.exchanges if exchange.path == "/v3/errors"]

    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body_bytes > 20
    assert page.body is UNSET
    assert "      1  200  GET /v3/errors  (not JSON, only its size is kept)" in describe(capture, 7, Anonymizer())
    async with Simulator(replay=capture, clock=clock) as replaying:
        seen = await exposed(replaying, clock)
    assert seen.value("collector_failures_total", collector="errors", reason="bad_response") == 1


async def test_secrets_that_the_api_echoes_are_not_in_the_capture(sim: Simulator, clock: FakeClock) -> None:
    sim.faults.add("echo,path=/v3/errors")
    capture = await captured(sim, clock)
    (echoed,) = [exchange for exchange in capture.exchanges if exchange.path == "/v3/errors"]

    assert echoed.status == 400
    assert error_code_of(echoed) == "APIGW.0201"
    assert sim.token not in encode_capture(capture).decode()


async def test_a_replay_has_the_faults_of_the_simulator(sim: Simulator, clock: FakeClock) -> None:
    capture = await captured(sim, clock, collector={"errors": True})
    async with Simulator(replay=capture, clock=clock, faults=["forbidden,path=/v3/errors"]) as replaying:
        seen = await captured(replaying, clock, collector={"errors": True})
    assert [(exchange.path, exchange.status) for exchange in seen.exchanges] == [
        ("/v3/sources", 200),
        ("/v3/errors", 403),
    ]


async def test_a_replay_has_no_simulated_servers_and_no_faults_that_change_records(
    sim: Simulator, clock: FakeClock
) -> None:
    capture = await captured(sim, clock)
    with pytest.raises(BadFault, match="short-page: a replay cannot have this fault"):
        Simulator(replay=capture, clock=clock, faults=["short-page=5"])
    async with Simulator(replay=capture, clock=clock) as replaying, aiohttp.ClientSession() as session:
        for path, body in (("faults", {"fault": "wrong-types"}), ("servers", {"count": 5})):
            async with session.post(f"{replaying.url}/control/{path}", json=body) as response:
                assert response.status == 400
                assert "a replay" in await response.text()


async def test_a_request_without_an_answer_is_captured_and_replayed_as_such(sim: Simulator, clock: FakeClock) -> None:
    sim.faults.add("reset,path=/v3/tasks")
    reading = asyncio.ensure_future(captured(sim, clock, collector={"task_details": True}))
    while not reading.done():
        clock.advance(15)
        await asyncio.sleep(0)
    exchanges = [exchange for exchange in (await reading).exchanges if exchange.path == "/v3/tasks"]

    assert {(exchange.status, exchange.body_bytes) for exchange in exchanges} == {(0, 0)}
    async with Simulator(replay=await reading, clock=clock) as replaying, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(f"{replaying.url}/v3/tasks?limit=200&offset=0", headers={"X-Auth-Token": replaying.token})


async def test_a_capture_of_a_filtered_account_answers_an_exporter_without_the_filter(
    sim: Simulator, clock: FakeClock
) -> None:
    capture = await captured(sim, clock, filter={"state": "replicate"}, collector={"projects": True})
    assert {exchange.query.get("state") for exchange in capture.exchanges} == {None}
    async with Simulator(replay=capture, clock=clock) as replaying:
        async with exporting(replaying, clock) as service:
            seen = await scrape(service.urls[0])
    assert seen.value("source_servers", state="replicate") == len(
        [record for record in sim.fleet.records() if record["state"] == "replicate"]
    )


async def test_a_request_that_was_not_captured_is_not_found(sim: Simulator, clock: FakeClock) -> None:
    capture = await captured(sim, clock, collector={})
    async with Simulator(replay=capture, clock=clock) as replaying:
        seen = await captured(replaying, clock, collector={"errors": True})
    assert [(exchange.path, exchange.status) for exchange in seen.exchanges] == [
        ("/v3/sources", 200),
        ("/v3/errors", 404),
    ]


def options(sim: Simulator, *arguments: str) -> tuple[str, ...]:
    return ("capture", f"--api.endpoint={sim.url}", f"--auth.token={sim.token}", *arguments)


async def test_the_command_writes_a_file_for_its_owner_and_the_simulator_serves_it(
    sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "capture.json"
    status, output, errors = await run_in_process(*options(sim, "--yes", f"--output={file}", "--collector.errors"))

    assert (status, errors) == (0, "")
    assert "GET /v3/errors" in output
    assert f"Written: {file}." in output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [exchange.path for exchange in read_capture(file).exchanges] == ["/v3/sources", "/v3/errors"]
    shown = {sim.fleet.record(server_id)["name"] for server_id in sim.fleet.ids}
    assert not [name for name in shown if name in output]


async def test_without_a_terminal_and_without_yes_nothing_is_requested(sim: Simulator, tmp_path: Path) -> None:
    status, output, errors = await run_in_process(*options(sim, f"--output={tmp_path / 'capture.json'}"))

    assert (status, output) == (2, "")
    assert errors == (
        "sms-exporter: error: --yes: required, because there is no terminal to ask on before the file is written\n"
    )
    assert sim.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "status"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1)])
async def test_a_terminal_shows_the_content_and_asks_before_the_file_is_written(
    sim: Simulator, tmp_path: Path, typed: bytes, status: int
) -> None:
    file = tmp_path / "capture.json"
    ended, output = await run_in_terminal(*exporter_command(*options(sim, f"--output={file}")), typed=typed)

    assert ended == status
    assert "Texts that are kept, by field:" in output
    assert f"Write this to {file}? [y/N]" in output.replace("\r\n", "")
    assert file.exists() == (status == 0)


async def test_a_file_that_exists_is_refused_before_any_request(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "capture.json"
    file.write_text("mine")
    status, _, errors = await run_in_process(*options(sim, "--yes", f"--output={file}"))

    assert status == 2
    assert errors == f"sms-exporter: error: --output: {file}: exists already; choose another name or remove it\n"
    assert file.read_text() == "mine"
    assert sim.requests == []


async def test_a_directory_that_does_not_exist_is_refused_before_any_request(sim: Simulator, tmp_path: Path) -> None:
    status, _, errors = await run_in_process(*options(sim, "--yes", f"--output={tmp_path / 'no' / 'capture.json'}"))

    assert status == 2
    assert f"there is no directory {tmp_path / 'no'}" in errors
    assert sim.requests == []


async def test_of_several_accounts_one_must_be_chosen(sim: Simulator, tmp_path: Path) -> None:
    config = tmp_path / "sms.yml"
    config.write_text(
        f"accounts:\n- name: east\n  api: {{endpoint: '{sim.url}'}}\n  auth: {{token: '{sim.token}'}}\n"
        f"- name: west\n  api: {{endpoint: '{sim.url}'}}\n  auth: {{token: '{sim.token}'}}\n"
    )
    command = ("capture", f"--config.file={config}", "--yes", f"--output={tmp_path / 'capture.json'}")
    for arguments, message in (
        ((), "--account: required, because several accounts are configured: east, west"),
        (("--account=north",), "--account: no account is called 'north'; the accounts are east, west"),
    ):
        status, _, errors = await run_in_process(*command, *arguments)
        assert (status, errors) == (2, f"sms-exporter: error: {message}\n")
    status, _, _ = await run_in_process(*command, "--account=west")
    assert status == 0
    assert len(sim.requests) == 1


async def test_without_any_answer_nothing_is_written(tmp_path: Path) -> None:
    options = ("--api.endpoint=http://127.0.0.1:9", "--auth.token=t", "--yes", f"--output={tmp_path / 'c.json'}")
    status, output, errors = await run_in_process("capture", *options)

    assert (status, output) == (1, "")
    assert errors.startswith("sms-exporter: error: source servers: connection: ")
    assert list(tmp_path.iterdir()) == []


async def test_a_wrong_file_to_replay_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "capture.json"
    file.write_text('{"count": 1}')
    status, _, errors = await run(*exporter_command("simulate", f"--replay={file}"))

    assert status == 2
    assert errors.startswith(f"sms-exporter: error: --replay: {file}: it is not a capture")
    assert errors.count("\n") == 1
    status, _, errors = await run(*exporter_command("simulate", f"--replay={file}", "--servers=9"))
    assert errors == "sms-exporter: error: --servers has no effect, because --replay is set: remove one of them\n"
