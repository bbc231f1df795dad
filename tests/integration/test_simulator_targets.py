"""The target servers of launched migrations in the simulator: which of them accept connections."""

import asyncio
import socket

import pytest

from exporter.simulator import Simulator, TargetsUnavailable
from exporter.simulator.targets import answers
from programs import demo, exporter_command, free_port, run, until
from support import FakeClock, fetch, scrape


async def accepts(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def launched(sim: Simulator) -> set[str]:
    return {each.address for each in sim.fleet.select().migrations() if each.is_launched}


async def test_most_launched_target_servers_accept_connections_and_some_do_not(clock: FakeClock) -> None:
    port = free_port("127.64.0.1")
    async with Simulator(servers=250, clock=clock, target_port=port) as sim:
        found = {address: await accepts(address, port) for address in launched(sim)}

    assert found == {address: answers(address) for address in found}
    assert all(address.startswith("127.64.") for address in found)
    assert 0 < sum(not accepted for accepted in found.values()) < sum(found.values())


async def test_the_listeners_follow_the_launches(clock: FakeClock) -> None:
    port = free_port("127.64.0.1")
    async with Simulator(servers=250, clock=clock, target_port=port) as sim:
        assert sim.targets is not None
        before = sim.targets.addresses
        await clock.until_asleep()
        clock.advance(600)
        await clock.until_asleep()
        after = sim.targets.addresses

        assert after == {address for address in launched(sim) if answers(address)}
        assert before - after
        assert after - before
        assert not await accepts(min(before - after), port)
    assert not await accepts(min(after), port)


async def test_without_the_option_nothing_listens_and_the_addresses_are_not_of_this_machine(clock: FakeClock) -> None:
    async with Simulator(servers=250, clock=clock) as sim:
        assert sim.targets is None
        assert launched(sim)
        assert all(address.startswith("198.18.") for address in launched(sim))


async def test_a_port_in_use_is_an_error_that_names_the_option() -> None:
    port = free_port("127.64.0.1")
    with socket.create_server(("127.64.0.1", port)):
        with pytest.raises(TargetsUnavailable, match=rf"cannot listen on 127\.64\.0\.1:{port}"):
            async with Simulator(servers=1, target_port=port):
                pass
        for command in (("demo", "--web.listen-address=127.0.0.1:0"), ("simulate", "--listen=127.0.0.1:0")):
            status, _, errors = await run(*exporter_command(*command, f"--target-port={port}"))
            assert status == 1
            assert errors.startswith("sms-exporter: error: --target-port: cannot listen on 127.64.0.1")
            assert errors.count("\n") == 1


async def test_the_launched_targets_of_the_demo_are_listed_and_answer() -> None:
    port = free_port("127.64.0.1")
    async with demo(f"--target-port={port}") as url:

        async def listed() -> bool:
            status, text, _ = await fetch(f"{url}/sd?of=launched")
            return status == 200 and "127.64." in text

        await until(listed)
        seen = await scrape(url)
        addresses = seen.label_values("task_target_info", "address")
        found = [await accepts(address, port) for address in addresses]

    assert any(found)
