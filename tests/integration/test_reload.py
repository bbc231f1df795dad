"""Reloading the configuration while the exporter runs, over real sockets."""

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import yaml
from structlog.testing import capture_logs

from exporter.polling.connections import Runtime
from exporter.polling.schedule import spread
from exporter.reloading import reloading
from exporter.service import Service, running
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.simulator import Simulator
from programs import exporter_command, started, until
from support import NOWHERE, TIMEOUT_SECONDS, FakeClock, fetch, pass_time, scrape

ADDRESS = "--web.listen-address=127.0.0.1:0"
LIFECYCLE = "--web.enable-lifecycle"
RELOADED = "The configuration was reloaded.\n"


class World:
    """A simulator per account name, and a configuration file that a test writes."""

    def __init__(self, clock: FakeClock, file: Path, simulators: Mapping[str, Simulator]) -> None:
        self.clock = clock
        self.file = file
        self.simulators = simulators

    def account(self, name: str, **options: object) -> dict[str, Any]:
        simulator = self.simulators[name]
        return {"name": name, "api": {"endpoint": simulator.url}, "auth": {"token": simulator.token}, **options}

    def write(self, *accounts: str | Mapping[str, Any], **groups: object) -> None:
        listed = [self.account(account) if isinstance(account, str) else dict(account) for account in accounts]
        self.file.write_text(yaml.safe_dump({"accounts": listed, **groups}))

    def polls(self, name: str) -> int:
        """Return the number of polls that have begun; each list has one page."""
        return sum(request.path == "/v3/sources" for request in self.simulators[name].requests)

    @contextlib.asynccontextmanager
    async def exporting(self, *flags: str, polled: bool = True, lifecycle: bool = True) -> AsyncIterator[Service]:
        def read() -> Settings:
            argv = [f"--config.file={self.file}", ADDRESS, *flags, *([LIFECYCLE] if lifecycle else [])]
            return load_settings(Settings, argv, Manual("sms-exporter", "", {}))

        async with running(read(), Runtime(self.clock, {}, NOWHERE), read) as service:
            if polled:
                await self.idle(service)
            yield service

    async def idle(self, service: Service) -> None:
        """Wait until every account has been polled and waits for its next poll."""
        await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
        await self.clock.until_asleep(len(service.pollers))

    async def pass_time(self, service: Service, seconds: float) -> None:
        """Advance the clock, with the polls that become due."""
        await pass_time(self.clock, seconds, len(service.pollers))


@pytest.fixture
async def world(clock: FakeClock, tmp_path: Path) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        simulators = {
            name: await stack.enter_async_context(Simulator(servers=size, clock=clock))
            for name, size in (("shop", 20), ("depot", 30), ("yard", 40))
        }
        for simulator in simulators.values():
            simulator.fleet.freeze()
        yield World(clock, tmp_path / "config.yml", simulators)


async def reload(service: Service) -> tuple[int, str]:
    """Request a reload over HTTP; return the status and text of the response."""
    async with aiohttp.ClientSession() as session, session.post(f"{service.urls[0]}/-/reload") as response:
        return response.status, await response.text()


async def test_an_unchanged_account_is_neither_polled_again_nor_skipped(world: World) -> None:
    world.write("shop", "depot")
    async with world.exporting() as service:
        await world.pass_time(service, 10)
        exposition = service.generation.exposition
        for _ in range(3):
            assert await reload(service) == (200, RELOADED)
        assert service.generation.exposition is exposition
        assert world.polls("shop") == 1
        await world.pass_time(service, 50)
        assert (world.polls("shop"), world.polls("depot")) == (2, 2)
        world.write("shop", world.account("depot", poll={"timeout": "9s"}), collector={"tasks": False})
        assert await reload(service) == (200, RELOADED)
        await world.pass_time(service, 60)
        assert (world.polls("shop"), world.polls("depot")) == (3, 3)
        assert (await scrape(service.urls[0])).value("exporter_polls_total", account="shop") == 3


async def test_a_reload_adds_and_removes_accounts(world: World) -> None:
    world.write("shop", "depot")
    async with world.exporting() as service:
        await world.pass_time(service, 10)
        world.write("shop", "yard")
        assert (await reload(service))[0] == 200
        await world.idle(service)
        seen = await scrape(service.urls[0])
        assert {dict(own).get("account") for _, own in seen.samples} == {"shop", "yard", None}
        assert seen.total("source_servers", account="yard") == 40
        assert seen.value("exporter_polls_total", account="yard") == 1
        assert "yard" in (await fetch(f"{service.urls[0]}/sd"))[1]
        assert (await fetch(f"{service.urls[0]}/probe?account=yard"))[0] == 200
        assert (await fetch(f"{service.urls[0]}/probe?account=depot"))[0] == 404
        for page in ("", "config", "polls"):
            _, text, _ = await fetch(f"{service.urls[0]}/{page}")
            assert ("yard" in text, "depot" in text) == (True, False), page
        await world.pass_time(service, 300)
        assert world.polls("depot") == 1
        world.write("shop", "depot")
        assert (await reload(service))[0] == 200
        await world.idle(service)
        assert (await scrape(service.urls[0])).value("exporter_polls_total", account="depot") == 1


async def test_an_account_that_cannot_be_closed_does_not_affect_the_others(world: World) -> None:
    async def fail() -> None:
        raise OSError

    world.write("shop", "depot")
    async with world.exporting() as service:
        shop, depot = service._runners
        shop.resources.push_async_callback(fail)
        closed = asyncio.Event()
        depot.resources.callback(closed.set)
        world.write("yard")
        with capture_logs() as logs:
            assert await reload(service) == (200, RELOADED)
        assert closed.is_set()
        await world.idle(service)
        assert world.polls("yard") == 1
    assert [line["account"] for line in logs if line["event"] == "account could not be closed"] == ["shop"]


async def test_an_added_account_is_polled_even_if_the_reload_is_cancelled(world: World) -> None:
    closing, released = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        closing.set()
        await released.wait()

    world.write("shop")
    async with world.exporting() as service:
        service._runners[0].resources.push_async_callback(hang)
        world.write("yard")
        reloading = asyncio.create_task(service.reload())
        await closing.wait()
        reloading.cancel()
        async with asyncio.timeout(20):
            await world.idle(service)
        assert world.polls("yard") == 1
        released.set()


@pytest.mark.parametrize("asked_by", ["a signal", "HTTP"])
async def test_stopping_during_a_reload_closes_the_accounts_that_it_removed(world: World, asked_by: str) -> None:
    closing, released = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        closing.set()
        await released.wait()

    async def reload_by_signal(service: Service) -> None:
        asked = asyncio.Event()
        async with reloading(service, world.clock, asked):
            asked.set()
            await closing.wait()
        released.set()

    async def reload_by_http(service: Service) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            await reload(service)
        released.set()

    sessions = open_sessions()
    world.write("shop", "depot")
    with capture_logs() as logs:
        async with world.exporting() as service:
            service._runners[0].resources.push_async_callback(hang)
            world.write("yard")
            ask = reload_by_http if asked_by == "HTTP" else reload_by_signal
            asking = asyncio.create_task(ask(service))
            await closing.wait()
        assert [task for task in asyncio.all_tasks() if "Poller.run" in repr(task.get_coro())] == []
        await asking
        assert open_sessions() == sessions
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_a_hanging_reload_over_http_does_not_delay_the_shutdown(world: World) -> None:
    yard = world.simulators["yard"]
    yard.faults.add("hang,api=metadata")
    sessions = open_sessions()
    world.write("shop")
    async with world.exporting() as service:
        world.write("shop", {**world.account("yard"), "auth": {"metadata_endpoint": yard.url}})
        asking = [asyncio.create_task(reload(service)) for _ in range(2)]
        await until(lambda: asyncio.sleep(0, bool(yard.requests)))
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [aiohttp.ServerDisconnectedError] * 2
    assert open_sessions() == sessions


async def test_a_file_system_that_hangs_during_a_reload_delays_neither_polls_nor_scrapes_nor_the_shutdown(
    clock: FakeClock,
) -> None:
    answered = threading.Event()

    def read_settings() -> Settings:
        answered.wait()
        raise OSError

    async with Simulator(servers=1, clock=clock) as simulator:
        tree = Settings.model_validate(
            {
                "api": {"endpoint": simulator.url},
                "auth": {"token": simulator.token},
                "web": {"listen_address": ("127.0.0.1:0",)},
            },
        )
        async with running(tree, Runtime(clock, {}, NOWHERE), read_settings) as service:
            reloads = [asyncio.create_task(service.reload()) for _ in range(3)]
            await service.pollers[0].polled.wait()
            await pass_time(clock, 120)
            assert (await scrape(service.urls[0])).value("exporter_polls_total") == 3
    await asyncio.wait(reloads)
    assert all(reload.cancelled() for reload in reloads)
    answered.set()


async def test_an_added_account_does_not_make_the_exporter_unready(world: World) -> None:
    world.write("shop")
    async with world.exporting() as service:
        world.simulators["depot"].faults.add("hang")
        world.write("shop", "depot")
        assert await reload(service) == (200, RELOADED)
        assert (await fetch(f"{service.urls[0]}/-/ready"))[0] == 200
        seen = await scrape(service.urls[0])
        assert (seen.value("up", account="depot"), seen.value("up", account="shop")) == (0, 1)


async def test_a_removed_account_does_not_keep_the_exporter_unready(world: World) -> None:
    world.simulators["depot"].faults.add("hang")
    world.write("shop", "depot")
    async with world.exporting(polled=False) as service:
        await service.pollers[0].polled.wait()
        assert (await fetch(f"{service.urls[0]}/-/ready"))[0] == 503
        world.write("shop")
        assert await reload(service) == (200, RELOADED)
        assert (await fetch(f"{service.urls[0]}/-/ready"))[0] == 200


async def test_collectors_and_series_limits_change_without_a_poll(world: World) -> None:
    world.write("shop", "depot")
    async with world.exporting() as service:
        url = service.urls[0]
        assert (await fetch(f"{url}/metrics?collect[]=disks"))[0] == 400
        world.write(world.account("shop", limits={"series": 100}), "depot", collector={"disks": True, "checks": False})
        assert await reload(service) == (200, RELOADED)
        seen = await scrape(url)
        assert seen.values("source_server_disk_size_bytes", account="depot")
        assert not seen.values("source_server_checks")
        assert not seen.values("source_server_info", account="shop")
        assert seen.total("exporter_series_dropped", account="shop") > 0
        assert seen.total("source_servers", account="shop") == 20
        assert (await fetch(f"{url}/metrics?collect[]=disks"))[0] == 200
        world.write("shop", "depot")
        assert await reload(service) == (200, RELOADED)
        seen = await scrape(url)
        assert len(seen.values("source_server_info", account="shop")) == 20
        assert seen.total("exporter_series_dropped", account="shop") == 0
        assert (world.polls("shop"), world.polls("depot")) == (1, 1)


async def test_the_state_of_an_account_is_kept_while_its_list_is_the_same(world: World) -> None:
    shop = world.simulators["shop"]
    world.write("shop")
    async with world.exporting() as service:
        shop.fleet.fail(shop.fleet.ids[0])
        await world.pass_time(service, 60)
        before = await scrape(service.urls[0])
        assert before.value("source_server_state_transitions_total", to_state="error") == 1
        # Another secret for the same list: polled immediately, and compared with the previous list.
        world.write(world.account("shop", auth={"token": shop.tokens.issue_static(shop.user)}))
        await reload(service)
        await world.idle(service)
        assert world.polls("shop") == 3
        after = await scrape(service.urls[0])
        assert after.value("source_server_state_transitions_total", to_state="error") == 1
        assert after.value("exporter_polls_total") == 3
        grown = "source_server_replicated_bytes_last_increase_timestamp_seconds"
        assert after.values(grown) == before.values(grown)
        assert len(service.accounts[0].state.history) == 3
        # Another list under the same name: nothing is kept of the previous one.
        world.write({**world.account("depot"), "name": "shop"})
        await reload(service)
        await world.idle(service)
        other = await scrape(service.urls[0])
        assert other.total("source_servers") == 30
        assert other.total("source_server_state_transitions_total") == 0
        assert other.value("exporter_polls_total") == 4
        assert len(service.accounts[0].state.history) == 1


async def test_another_interval_counts_from_the_last_poll(world: World) -> None:
    world.write(world.account("shop", poll={"interval": "1h"}))
    async with world.exporting() as service:
        await world.pass_time(service, 100)
        world.write(world.account("shop", poll={"interval": "30s"}))
        assert await reload(service) == (200, RELOADED)
        assert await world.clock.until_asleep() == 20
        await world.pass_time(service, 20)
        assert world.polls("shop") == 2
        world.write(world.account("shop", poll={"interval": "10m"}))
        assert await reload(service) == (200, RELOADED)
        assert await world.clock.until_asleep() == 600
        assert (await scrape(service.urls[0])).value("poll_interval_seconds") == 600


async def test_a_reload_does_not_wait_for_an_api_that_hangs(world: World) -> None:
    world.write("shop", "depot")
    async with world.exporting() as service:
        for name in ("shop", "depot"):
            world.simulators[name].faults.add("hang,times=1")
        world.clock.advance(1.5 * 60)
        await until(lambda: asyncio.sleep(0, world.polls("shop") == world.polls("depot") == 2))
        world.write("shop", world.account("depot", api={"endpoint": world.simulators["depot"].url, "concurrency": 2}))
        assert await reload(service) == (200, RELOADED)
        await service.pollers[1].polled.wait()
        seen = await scrape(service.urls[0])
        assert (seen.value("up", account="shop"), seen.value("up", account="depot")) == (1, 1)
        assert seen.value("exporter_polls_total", account="depot") == 2
        assert world.polls("shop") == 2


BAD = {
    "yaml": ("accounts: [}\n", "config.yml line 1 column 12"),
    "an option": ("poll: {interval: 60}\n", "poll.interval: given '60'"),
    "a misspelt option": ("colector: {disks: true}\n", "colector: no such key; did you mean collector"),
    "a secret in a key": ("auth: {token:s3cret}\n", "auth: no such key; a space is missing after the colon of token"),
    "a secret in the query of a URL": (
        "web: {grafana_url: 'https://g.example/?auth_token=s3cret'}\n",
        "web.grafana_url: given 'https://g.example/?<secret>'",
    ),
    "no place": ("accounts: [{name: a}]\n", "api.region or api.endpoint is required"),
    "no credentials": (
        "api: {region: cn-north-4}\nauth: {metadata_endpoint: 'http://127.0.0.1:9'}\n",
        "no credentials",
    ),
}


@pytest.mark.parametrize("fault", BAD)
async def test_an_invalid_configuration_changes_nothing_and_is_reported(fault: str, world: World) -> None:
    content, message = BAD[fault]
    world.write("shop", "depot", log={"level": "debug"})
    async with world.exporting() as service:
        url = service.urls[0]
        generation = service.generation
        config = (await fetch(f"{url}/config"))[1]
        world.file.write_text(content)
        with capture_logs() as events:
            status, text = await reload(service)
        assert status == 500
        assert message in text
        assert "s3cret" not in text
        assert not any("s3cret" in event["err"] for event in events if "err" in event)
        assert [message in event["err"] for event in events if event["log_level"] == "error"] == [True]
        assert service.generation is generation
        seen = await scrape(url)
        assert seen.value("exporter_config_last_reload_successful") == 0
        assert seen.value("exporter_config_last_reload_success_timestamp_seconds") == world.clock.time()
        assert {dict(own).get("account") for _, own in seen.samples} == {"shop", "depot", None}
        assert (await fetch(f"{url}/config"))[1] == config
        await world.pass_time(service, 60)
        world.write("shop", "depot", log={"level": "debug"})
        assert await reload(service) == (200, RELOADED)
        seen = await scrape(url)
        assert seen.value("exporter_config_last_reload_successful") == 1
        assert seen.value("exporter_config_last_reload_success_timestamp_seconds") == world.clock.time()
        assert seen.value("exporter_polls_total", account="shop") == 2


async def test_an_account_without_credentials_changes_no_other_and_leaves_nothing_open(world: World) -> None:
    world.write("shop")
    async with world.exporting() as service:
        opened = open_sessions()
        nothing = {**world.account("yard"), "auth": {"metadata_endpoint": world.simulators["yard"].url}}
        world.simulators["yard"].faults.add("html,api=metadata")
        world.write(world.account("shop", filter={"state": "finished"}), "depot", nothing)
        status, text = await reload(service)
        assert status == 500
        assert text.startswith("account yard: no credentials found")
        seen = await scrape(service.urls[0])
        assert {dict(own).get("account") for _, own in seen.samples} == {"shop", None}
        assert (world.polls("shop"), world.polls("depot")) == (1, 0)
        assert open_sessions() == opened


async def test_flags_take_precedence_over_the_file_at_a_reload(world: World) -> None:
    world.write("shop", collector={"checks": False}, log={"level": "warn"})
    async with world.exporting("--collector.checks") as service:
        world.write("shop", collector={"checks": False, "tasks": False}, log={"level": "warn"})
        assert await reload(service) == (200, RELOADED)
        seen = await scrape(service.urls[0])
    assert seen.values("source_server_checks")
    assert not seen.values("task_info")


@pytest.mark.parametrize("content", [None, "tls_server_configuration: {}\n"])
async def test_a_web_configuration_with_which_a_restart_would_fail_is_refused(
    world: World, content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "web.yml"
    if content:
        file.write_text(content)
    world.write("shop")
    async with world.exporting() as service:
        world.write("shop", web={"config_file": str(file)}, collector={"disks": True})
        status, text = await reload(service)
        assert (status, str(file) in text) == (500, True)
        seen = await scrape(service.urls[0])
    assert seen.value("exporter_config_last_reload_successful") == 0
    assert not seen.values("source_server_disk_size_bytes")


async def test_options_that_need_a_restart_are_reported_and_not_applied(world: World) -> None:
    world.write("shop", web={"telemetry_path": "/sms"})
    async with world.exporting() as service:
        world.write("shop", web={"telemetry_path": "/other"}, collector={"disks": True})
        with capture_logs() as events:
            status, text = await reload(service)
        assert status == 200
        assert text == f"{RELOADED}Options that need a restart to take effect: --web.telemetry-path.\n"
        assert [event["options"] for event in events if "options" in event] == ["--web.telemetry-path"]
        assert "source_server_disk" in (await fetch(f"{service.urls[0]}/sms"))[1]
        _, config, _ = await fetch(f"{service.urls[0]}/config")
        assert ("/sms" in config, "/other" in config) == (True, False)


async def test_a_replaced_ca_bundle_in_the_same_file_is_trusted(world: World, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    shop = world.account("shop", api={"endpoint": world.simulators["shop"].url, "ca_file": str(bundle)})
    world.write(shop)
    async with world.exporting() as service:
        assert (await reload(service))[0] == 200
        (before,) = service.pollers
        bundle.write_text("no certificate")
        status, text = await reload(service)
        assert (status, "contains no certificate in PEM" in text) == (500, True)
        assert service.pollers == (before,)
        trustme.CA().cert_pem.write_to_path(bundle)
        assert (await reload(service))[0] == 200
        assert service.pollers != (before,)


async def test_concurrent_reloads_run_one_after_another(world: World) -> None:
    world.write("shop")
    async with world.exporting() as service:
        yard = world.simulators["yard"]
        world.write("shop", {**world.account("yard"), "auth": {"metadata_endpoint": yard.url}})
        answers = await asyncio.gather(*(reload(service) for _ in range(5)))
        await world.idle(service)
        assert answers == [(200, RELOADED)] * 5
        assert world.polls("yard") == 1
        assert sum("/api/token" in request.path for request in yard.requests) == 1


async def test_a_reload_over_http_needs_the_option(world: World) -> None:
    world.write("shop")
    async with world.exporting(lifecycle=False) as service:
        status, text = await reload(service)
        assert status == 403
        assert text.startswith("Lifecycle API is not enabled")
        assert (await fetch(f"{service.urls[0]}/-/reload"))[0] == 405


async def test_a_get_does_not_reload(world: World) -> None:
    world.write("shop")
    async with world.exporting() as service:
        status, _, headers = await fetch(f"{service.urls[0]}/-/reload")
    assert (status, headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_a_post_from_another_origin_does_not_reload(world: World, headers: dict[str, str], status: int) -> None:
    world.write("shop")
    async with world.exporting() as service:
        port = service.urls[0].rpartition(":")[2]
        sent = {name: value.replace("{port}", port) for name, value in headers.items()}
        world.write("shop", "yard")
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{service.urls[0]}/-/reload", headers=sent) as response:
                assert response.status == status
        assert len(service.accounts) == (2 if status == 200 else 1)


def open_sessions() -> int:
    return sum(isinstance(thing, aiohttp.ClientSession) and not thing.closed for thing in gc.get_objects())


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def counters(text: str) -> dict[str, float]:
    """Return the counters of the account shop. The complete parser would be too slow for this load."""
    found = {}
    for before, after in pairwise(text.split('_total{account="shop"')):
        labels, _, value = after.partition("\n")[0].rpartition(" ")
        found[before.rpartition("\n")[2] + labels] = float(value)
    return found


async def scraped(url: str, times: list[int], scraper: int) -> None:
    """Scrape in a loop: every response must be complete, and no counter may decrease."""
    last: dict[str, float] = {}
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/metrics") as response:
                assert response.status == 200
                text = await response.text()
            assert 'huaweicloud_sms_snapshot_source_servers{account="shop"} 20.0\n' in text
            assert text.count('huaweicloud_sms_source_servers{account="shop",state=') > 15
            seen = counters(text)
            assert len(seen) > 30
            assert not {series for series, value in last.items() if seen.get(series, 0) < value}
            last = seen
            times[scraper] += 1
            # The reload needs the CPU, too.
            await asyncio.sleep(0.03)


async def test_fifty_reloads_under_load(world: World) -> None:
    """A third of the reloads is invalid; ten scrapers and the polls continue; nothing is left open at the end."""
    configurations: Sequence[tuple[Sequence[str], Mapping[str, Any]]] = (
        (("shop", "depot"), {"collector": {"disks": True}}),
        (("shop", "yard"), {"limits": {"series": 300}}),
        (("yard", "shop", "depot"), {"collector": {"tasks": False, "info_labels_exclude": ["ip"]}}),
        (("shop",), {"poll": {"interval": "60s", "stale_policy": "keep"}}),
    )
    bad = [content for content, _ in BAD.values()]
    world.write("shop", "depot")
    async with world.exporting() as service:
        await scrape(service.urls[0])
        files, tasks = open_files(), len(asyncio.all_tasks())
        scrapes, statuses = [0] * 10, []
        async with asyncio.TaskGroup() as group:
            scraping = [group.create_task(scraped(service.urls[0], scrapes, number)) for number in range(10)]
            for number in range(50):
                before = list(scrapes)
                if number % 3 == 2:
                    world.file.write_text(bad[number % len(bad)])
                else:
                    accounts, groups = configurations[number % len(configurations)]
                    world.write(*accounts, **groups)
                statuses.append((await reload(service))[0])
                await world.idle(service)
                await world.pass_time(service, 30)
                while any(now == then for now, then in zip(scrapes, before, strict=True)):
                    await asyncio.sleep(0.01)
            world.write("shop", "depot")
            assert (await reload(service))[0] == 200
            for task in scraping:
                task.cancel()
        await world.idle(service)
        assert statuses == [500 if number % 3 == 2 else 200 for number in range(50)]
        # The second poll of an account among several is earlier.
        shift = spread("shop", 60)
        assert world.polls("shop") == 1 + (50 * 30 - shift) // 60
        await until(lambda: asyncio.sleep(0, open_files() <= files and len(asyncio.all_tasks()) <= tasks))


async def test_a_reload_during_the_shutdown_leaves_nothing_open(world: World) -> None:
    world.write("shop")
    files, tasks = open_files(), len(asyncio.all_tasks())
    world.simulators["depot"].faults.add("hang,api=metadata")
    async with world.exporting() as service:
        lost = {**world.account("depot"), "auth": {"metadata_endpoint": world.simulators["depot"].url}}
        world.write("shop", lost)
        asked = asyncio.Event()
        async with reloading(service, world.clock, asked):
            asked.set()
            await until(lambda: asyncio.sleep(0, bool(world.simulators["depot"].requests)))
        assert (await scrape(service.urls[0])).value("exporter_config_last_reload_successful") == 1
    world.simulators["depot"].faults.clear()
    await until(lambda: asyncio.sleep(0, open_files() <= files and len(asyncio.all_tasks()) <= tasks))


async def test_sighup_reloads_a_process_and_sigterm_stops_it_during_a_reload(tmp_path: Path) -> None:
    async with Simulator(servers=5) as simulator:
        config = tmp_path / "config.yml"
        content = {"api": {"endpoint": simulator.url}, "auth": {"token": simulator.token}}

        def write(**groups: object) -> None:
            config.write_text(yaml.safe_dump(content | groups))

        write()
        command = exporter_command(f"--config.file={config}", "--web.listen-address=127.0.0.1:0")
        async with started(*command) as process:
            assert process.stderr is not None

            async def line_with(text: str) -> str:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    while text not in (line := (await process.stderr.readline()).decode()):  # type: ignore[union-attr]
                        assert line
                return line

            url = (await line_with("msg=listening")).partition("urls=")[2].split()[0]
            process.send_signal(signal.SIGHUP)
            await line_with("configuration reloaded")
            write(collector={"disks": True}, log={"format": "json"})
            process.send_signal(signal.SIGHUP)
            assert (await line_with("configuration reloaded")).startswith("{")

            async def has_disks() -> bool:
                return bool((await scrape(url)).values("source_server_disk_size_bytes"))

            # The first poll may not have ended.
            await until(has_disks)
            config.write_text("api: {endpoint:\n  - [\n")
            process.send_signal(signal.SIGHUP)
            assert "config.yml line " in await line_with('"level": "error"')
            assert (await scrape(url)).value("exporter_config_last_reload_successful") == 0
            # The added account waits for the metadata service; the shutdown does not.
            simulator.faults.add("hang,api=metadata")
            write(auth={"metadata_endpoint": simulator.url})
            process.send_signal(signal.SIGHUP)
            await until(lambda: asyncio.sleep(0, any("/meta-data/" in one.path for one in simulator.requests)))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
