"""Which addresses of launched servers are targets of probes."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from exporter.exposition.bodies import Exposition
from exporter.exposition.generation import Generation
from exporter.polling.launched import list_launched_servers
from exporter.polling.snapshot import Details
from exporter.polling.state import Account, AccountState, CollectorState
from exporter.settings import DetailSettings
from exporter.sms.details import MigrationTask, TaskTarget
from exporter.web.discovery import Discovery
from support import NOW, FakeClock, account, server, settings, snapshot

LOCAL = "http://127.0.0.1:8080"
REMOTE = "https://sms.example.com"


def find_target(endpoint: str, **task: Any) -> str | None:
    """Return the target address of a launched server with this task."""
    settings = account(api={"endpoint": endpoint})
    record = MigrationTask(id="t1", **task)
    servers = replace(snapshot(server("s1", state="finished")), details={"task_details": Details(NOW, {"s1": record})})
    (launched,) = list_launched_servers(servers, settings)
    return launched.address


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.7.7", "8.8.8.8", "198.18.0.1", "fd00::7", "2400:cb00::1"])
def test_a_global_or_private_address_is_a_target(address: str) -> None:
    assert find_target(REMOTE, migration_ip=address) == address


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.0.0.1",
        "127.0.0.1",
        "100.64.0.1",
        "127.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1%eth0",
        "fec0::1",
        "ff02::1",
        "::ffff:a00:1",
        "::ffff:127.0.0.1",
        "any text",
    ],
)
@pytest.mark.parametrize("endpoint", [REMOTE, "https://127.0.0.1.example.com"])
def test_any_other_address_is_no_target(address: str, endpoint: str) -> None:
    assert find_target(endpoint, migration_ip=address) is None


@pytest.mark.parametrize("endpoint", [LOCAL, "http://localhost:1", "http://[::1]:1"])
def test_the_addresses_of_the_simulator_are_targets_only_if_the_api_is_local(endpoint: str) -> None:
    assert find_target(endpoint, migration_ip="127.64.0.1") == "127.64.0.1"
    assert find_target(endpoint, migration_ip="127.0.0.1") is None
    assert find_target(endpoint, migration_ip="::1") is None


def test_an_address_that_is_no_target_does_not_hide_one_that_is() -> None:
    assert find_target(REMOTE, migration_ip="169.254.0.1", target_server=TaskTarget(ip="10.0.0.1")) == "10.0.0.1"


class Records(dict[str, MigrationTask]):
    """The records of a reading, which remember the threads that read them."""

    threads: set[int]

    def __contains__(self, key: object) -> bool:
        self.threads.add(threading.get_ident())
        return super().__contains__(key)


async def test_the_targets_of_many_launched_servers_do_not_delay_scrapes() -> None:
    records = Records({"s1": MigrationTask(id="t1", migration_ip="10.0.0.1")})
    records.threads = set()
    details = {"task_details": Details(NOW, records)}
    state = AccountState(
        snapshot=replace(snapshot(server("s1", state="finished")), details=details),
        collectors={name: CollectorState(each) for name, each in details.items()},
    )
    polled = Account(account(), state, details=DetailSettings(("task_details",)))
    current = Generation(settings(), (polled,), Exposition((), (polled,)))
    discovery = Discovery(lambda: current, FakeClock(), "", None)
    response = await discovery.targets(make_mocked_request("GET", "/sd?of=launched"))
    (group,) = json.loads(response.text or "")
    assert group["targets"] == ["10.0.0.1"]
    assert records.threads
    assert threading.get_ident() not in records.threads
