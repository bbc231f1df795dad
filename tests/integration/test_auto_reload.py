"""The configuration is reloaded when its files change, as a ConfigMap changes them and as an editor does."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from structlog.testing import capture_logs

from exporter.polling.connections import Runtime
from exporter.reloading import MAX_CHANGING_READINGS, SETTLE_SECONDS, reloading
from exporter.service import Service, running
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.simulator import Simulator
from programs import exporter_command, started, until
from support import NOWHERE, TIMEOUT_SECONDS, FakeClock, Scrape, fetch, pass_time, scrape

INTERVAL = 30.0


class ConfigMap:
    """A directory as the kubelet mounts and replaces it: the file is a link to a directory that is a link itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = 0
        self.file = folder / "config.yml"
        self.file.symlink_to(Path("..data") / "config.yml")

    def write(self, content: str) -> None:
        self._versions += 1
        version = self._folder / f"..version_{self._versions}"
        version.mkdir()
        (version / "config.yml").write_text(content)
        new = self._folder / "..data_tmp"
        new.symlink_to(version.name)
        new.replace(self._folder / "..data")
        for old in self._folder.glob("..version_*"):
            if old != version:
                shutil.rmtree(old)


class World:
    """A running exporter, its configuration and its clock."""

    def __init__(self, clock: FakeClock, config_map: ConfigMap, simulator: Simulator) -> None:
        self.clock = clock
        self.config_map = config_map
        self.simulator = simulator

    def account(self, name: str, **options: Any) -> dict[str, Any]:
        auth = {"token": self.simulator.token}
        return {"name": name, "api": {"endpoint": self.simulator.url}, "auth": auth, **options}

    def write(self, *accounts: str | dict[str, Any]) -> None:
        listed = [self.account(each) if isinstance(each, str) else each for each in accounts]
        self.config_map.write(yaml.safe_dump({"accounts": listed}))

    @contextlib.asynccontextmanager
    async def exporting(self, *flags: str, checks: bool = True) -> AsyncIterator[Service]:
        def read() -> Settings:
            argv = [f"--config.file={self.config_map.file}", "--web.listen-address=127.0.0.1:0", *flags]
            return load_settings(Settings, argv, Manual("sms-exporter", "", {}))

        async with (
            running(read(), Runtime(self.clock, {}, NOWHERE), read) as service,
            reloading(service, self.clock, asyncio.Event()),
        ):
            if checks:
                await self.idle(service)
            else:
                await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
            yield service

    async def idle(self, service: Service) -> None:
        """Wait until every poller, old or new, and the check of the files sleep."""

        async def is_idle() -> bool:
            asleep = sum(not waking.done() for _, waking in self.clock._sleepers)
            return asleep == len(service.pollers) + 1 and all(poller.polled.is_set() for poller in service.pollers)

        await until(is_idle)

    async def check(self, service: Service) -> None:
        """Let the interval and the time in which files settle pass, and wait for the checks."""
        for seconds in (INTERVAL, SETTLE_SECONDS, SETTLE_SECONDS):
            self.clock.advance(seconds)
            await self.idle(service)


@pytest.fixture
async def world(clock: FakeClock, tmp_path: Path) -> AsyncIterator[World]:
    async with Simulator(servers=5, clock=clock) as simulator:
        yield World(clock, ConfigMap(tmp_path), simulator)


AUTOMATIC = "--config.enable-auto-reload"


async def accounts(service: Service) -> list[str]:
    return list((await scrape(service.urls[0])).label_values("up", "account"))


async def result(service: Service) -> float | None:
    return (await scrape(service.urls[0])).value("exporter_config_last_reload_successful")


async def test_a_new_account_in_a_config_map_is_polled_within_the_interval(world: World) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        world.write("shop", "depot")
        await world.check(service)
        seen = await scrape(service.urls[0])
    assert seen.value("up", account="depot") == 1


async def test_without_the_option_a_change_has_no_effect(world: World, clock: FakeClock) -> None:
    world.write("shop")
    async with world.exporting(checks=False) as service:
        world.write("shop", "depot")
        await pass_time(clock, 10 * INTERVAL)
        assert await accounts(service) == ["shop"]


async def test_a_config_map_that_is_replaced_with_the_same_content_is_not_reloaded(world: World) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        with capture_logs() as logs:
            world.write("shop")
            await world.check(service)
    assert [line["event"] for line in logs if "reload" in line["event"]] == []


async def test_the_interval_can_be_chosen_and_changed(world: World, clock: FakeClock) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC, "--config.auto-reload-interval=5s") as service:
        world.write("shop", "depot")
        clock.advance(5)
        await world.idle(service)
        clock.advance(SETTLE_SECONDS)
        await world.idle(service)
        assert await accounts(service) == ["depot", "shop"]


async def test_a_broken_file_changes_nothing_and_is_reported_once(world: World) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        with capture_logs() as logs:
            world.config_map.write("accounts: [")
            for _ in range(3):
                await world.check(service)
            assert (await accounts(service), await result(service)) == (["shop"], 0)
        assert [line["event"] for line in logs if line["log_level"] == "error"] == [
            "configuration reload failed, keeping the previous one"
        ]
        with capture_logs() as logs:
            world.config_map.write("polls: {interval: 1m}")
            await world.check(service)
        assert len([line for line in logs if line["log_level"] == "error"]) == 1


async def test_a_broken_file_that_is_restored_is_a_successful_reload(world: World) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        world.config_map.write("accounts: [")
        await world.check(service)
        world.write("shop")
        await world.check(service)
        assert await result(service) == 1


async def test_a_file_that_is_removed_and_comes_back_is_reloaded(world: World) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        target = world.config_map.file.readlink()
        world.config_map.file.unlink()
        await world.check(service)
        assert (await accounts(service), await result(service)) == (["shop"], 0)
        world.config_map.file.symlink_to(target)
        world.write("depot")
        await world.check(service)
        assert (await accounts(service), await result(service)) == (["depot"], 1)


async def test_a_reload_that_failed_for_another_reason_is_tried_again(world: World, tmp_path: Path) -> None:
    world.write("shop")
    token = tmp_path / "token"
    async with world.exporting(AUTOMATIC) as service:
        world.write("shop", world.account("depot", auth={"token_file": str(token)}))
        await world.check(service)
        assert (await accounts(service), await result(service)) == (["shop"], 0)
        token.write_text(world.simulator.token)
        await world.check(service)
        assert (await accounts(service), await result(service)) == (["depot", "shop"], 1)


async def test_a_file_that_is_written_in_several_steps_is_reloaded_when_it_is_complete(
    world: World, clock: FakeClock
) -> None:
    world.write("shop", "depot")
    async with world.exporting(AUTOMATIC) as service:
        world.write("shop")
        clock.advance(INTERVAL)
        await world.idle(service)
        world.write("shop", "yard")
        with capture_logs() as logs:
            for _ in range(2):
                clock.advance(SETTLE_SECONDS)
                await world.idle(service)
        assert await accounts(service) == ["shop", "yard"]
    assert [line["event"] for line in logs if "reloaded" in line["event"]] == ["configuration reloaded"]


async def test_a_file_that_keeps_changing_is_reported_once_and_reloaded_when_it_stays_the_same(
    world: World, clock: FakeClock
) -> None:
    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        with capture_logs() as logs:
            for number in range(2 * MAX_CHANGING_READINGS):
                world.write("shop", f"depot-{number}")
                clock.advance(INTERVAL if number == 0 else SETTLE_SECONDS)
                await world.idle(service)
            assert await accounts(service) == ["shop"]
            clock.advance(SETTLE_SECONDS)
            await world.idle(service)
        assert await accounts(service) == ["depot-19", "shop"]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == [
        "configuration files keep changing, reload waits"
    ]


async def test_a_ca_bundle_that_the_file_names_is_part_of_the_configuration(world: World, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    shop = world.account("shop")
    shop["api"] = {**shop["api"], "ca_file": str(bundle)}
    world.write(shop)
    async with world.exporting(AUTOMATIC) as service:
        before = service.pollers
        trustme.CA().cert_pem.write_to_path(str(bundle))
        await world.check(service)
        assert service.pollers != before
        assert await result(service) == 1


async def test_a_change_while_scrapes_are_served_fails_none(world: World) -> None:
    statuses: list[int] = []
    stopped: list[bool] = []

    async def scrape_until_stopped(url: str) -> None:
        while not stopped:
            statuses.append((await fetch(f"{url}/metrics"))[0])

    world.write("shop")
    async with world.exporting(AUTOMATIC) as service:
        scraping = [asyncio.create_task(scrape_until_stopped(service.urls[0])) for _ in range(3)]
        for names in (("shop", "depot"), ("depot",), ("shop", "depot", "yard"), ("shop",)):
            world.write(*names)

            async def has_changed(expected: Sequence[str] = names) -> bool:
                await world.check(service)
                return await accounts(service) == sorted(expected)

            # The scrapes can hold up a check of the files until the next one.
            await until(has_changed)
        stopped.append(True)
        await asyncio.gather(*scraping)
    assert len(statuses) > 4
    assert set(statuses) == {200}


async def test_a_process_reloads_the_changed_config_map(tmp_path: Path) -> None:
    async with Simulator(servers=5) as simulator:
        config_map = ConfigMap(tmp_path)
        content = {"api": {"endpoint": simulator.url}, "auth": {"token": simulator.token}}
        config_map.write(yaml.safe_dump(content))
        command = exporter_command(
            f"--config.file={config_map.file}",
            AUTOMATIC,
            "--config.auto-reload-interval=1s",
            "--web.listen-address=127.0.0.1:0",
        )
        async with started(*command) as process:
            assert process.stderr is not None
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while b"msg=listening" not in (line := await process.stderr.readline()):
                    assert line
            url = line.decode().rpartition("urls=")[2].strip()
            config_map.write(yaml.safe_dump({**content, "account": {"name": "renamed"}}))

            async def is_renamed() -> Scrape | None:
                seen = await scrape(url)
                return seen if seen.value("up", account="renamed") else None

            await until(is_renamed)
