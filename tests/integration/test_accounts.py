"""Several accounts in one exporter, and the staleness of their data."""

import contextlib
import functools
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from exporter.service import Service
from exporter.simulator import Simulator
from programs import program, run, serving
from support import NOW, FakeApi, FakeClock, Scrape, exporting, fetch, pass_time, scrape

INTERVAL = 60


@contextlib.asynccontextmanager
async def simulators(clock: FakeClock, *sizes: int) -> AsyncIterator[Sequence[Simulator]]:
    async with contextlib.AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(Simulator(servers=size, seed=number, clock=clock))
            for number, size in enumerate(sizes, start=1)
        ]
        for simulator in running:
            simulator.fleet.freeze()
        yield running


def accounts_of(running: Sequence[Simulator], **options: object) -> list[dict[str, object]]:
    return [
        {
            "name": f"account-{number}",
            "api": {"endpoint": simulator.url},
            "auth": {"token": simulator.token},
            **options,
        }
        for number, simulator in enumerate(running, start=1)
    ]


def of_account(seen: Scrape, account: str) -> dict[object, float]:
    """Return all samples of an account."""
    return {key: value for key, value in seen.samples.items() if ("account", account) in key[1]}


async def test_a_probe_has_the_series_of_its_account(clock: FakeClock) -> None:
    async with simulators(clock, 201, 201, 201) as running:
        async with exporting(running[0], clock, accounts=accounts_of(running)) as service:
            asked = [len(simulator.requests) for simulator in running]
            whole = await scrape(service.urls[0])
            for account in service.accounts:
                _, text, _ = await fetch(f"{service.urls[0]}/probe?account={account.name}")
                probed = Scrape(text)
                assert probed.samples == of_account(whole, account.name)
                assert probed.total("source_servers") == 201
            _, text, _ = await fetch(f"{service.urls[0]}/self")
            of_all = {name for name, labels in whole.samples if "account" not in dict(labels)}
            assert {name for name, _ in Scrape(text).samples} == of_all
            assert asked == [2, 2, 2] == [len(simulator.requests) for simulator in running]


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_the_discovered_targets_have_each_series_once(accept: str, clock: FakeClock) -> None:
    async with simulators(clock, 3, 3) as running:
        # One account is down and has only health series.
        running[1].faults.add("forbidden")
        async with exporting(running[0], clock, accounts=accounts_of(running)) as service:
            _, text, _ = await fetch(f"{service.urls[0]}/metrics", Accept=accept)
            whole = Scrape(text.removesuffix("# EOF\n"))
            _, listed, _ = await fetch(f"{service.urls[0]}/sd")
            groups = [group["labels"] for group in json.loads(listed)]
            parts = []
            for labels in groups:
                asked = f"?account={labels['__param_account']}" if "__param_account" in labels else ""
                _, text, _ = await fetch(f"{service.urls[0]}{labels['__metrics_path__']}{asked}", Accept=accept)
                parts.append(Scrape(text.removesuffix("# EOF\n")).samples.keys())
    assert [labels.get("__param_account") for labels in groups] == ["account-1", "account-2", None]
    assert len({labels.get("instance") for labels in groups}) == len(groups)
    assert sorted(key for part in parts for key in part) == sorted(whole.samples)


async def test_each_account_has_its_own_interval_filter_and_series_limit(clock: FakeClock) -> None:
    async with simulators(clock, 300, 300) as running:
        accounts = accounts_of(running)
        accounts[0] |= {"poll": {"interval": "20s"}, "filter": {"state": "finished"}}
        accounts[1] |= {"limits": {"series": 500}}
        async with exporting(running[0], clock, accounts=accounts) as service:
            await pass_time(clock, 120, 2)
            seen = await scrape(service.urls[0])
        assert [sum(request.query["offset"] == "0" for request in one.requests) for one in running] == [7, 3]
    assert seen.value("poll_interval_seconds", account="account-1") == 20
    assert seen.total("source_servers", account="account-1") == seen.value(
        "source_servers", account="account-1", state="finished"
    )
    assert seen.total("exporter_series_dropped", account="account-1") == 0
    assert (seen.value("exporter_series_dropped", account="account-2", collector="servers") or 0) > 50
    assert seen.total("exporter_series_dropped", account="account-2") > 500
    assert not seen.values("source_server_info", account="account-2")
    assert seen.total("source_servers", account="account-2") == 300


async def test_accounts_are_polled_immediately_and_then_spread_over_the_interval(clock: FakeClock) -> None:
    async with simulators(clock, *[1] * 6) as running:
        async with exporting(running[0], clock, accounts=accounts_of(running)) as service:
            await pass_time(clock, 150, 6)
            polls = [[poll.started_at - NOW for poll in account.state.history] for account in service.accounts]
    first, second, third = zip(*(times[:3] for times in polls), strict=True)
    assert set(first) == {0}
    assert all(0 < time <= 60 for time in second)
    assert len({round(time) for time in second}) == 6
    assert [round(time) for time in third] == [round(time + 60) for time in second]


async def test_an_account_that_is_unreachable_at_startup_is_not_an_error(clock: FakeClock) -> None:
    async with simulators(clock, 5, 5) as running:
        running[0].faults.add("server-error")
        async with exporting(running[0], clock, accounts=accounts_of(running), polled=False) as service:
            while any(account.state.last_poll is None for account in service.accounts):
                clock.advance(await clock.until_asleep())
                await clock.until_asleep()
            seen = await scrape(service.urls[0])
    assert seen.value("up", account="account-1") == 0
    assert seen.value("up", account="account-2") == 1


async def minutes(service: Service, clock: FakeClock, count: int) -> None:
    """Advance the clock by minutes, each with a poll of every account; the pauses before retries pass, too."""
    for _ in range(count):
        ended = [account.state.last_poll for account in service.accounts]
        while any(account.state.last_poll in ended for account in service.accounts):
            clock.advance(await clock.until_asleep(len(service.accounts)))
            await clock.until_asleep(len(service.accounts))


@pytest.mark.parametrize("policy", ["drop", "keep"])
async def test_an_account_that_stops_answering_keeps_its_series_for_a_while(policy: str, clock: FakeClock) -> None:
    async with simulators(clock, 30, 40) as running:
        accounts = accounts_of(running, poll={"interval": "60s", "stale_policy": policy, "stale_after": "5m"})
        async with exporting(running[0], clock, accounts=accounts) as service:
            running[0].faults.add("forbidden")
            shown = []
            for minute in range(1, 8):
                await minutes(service, clock, 1)
                seen = await scrape(service.urls[0])
                shown.append(seen.total("source_servers", account="account-1"))
                assert seen.value("up", account="account-1") == 0
                assert seen.value("exporter_poll_failures_total", account="account-1", reason="permission") == minute
                assert seen.value("last_success_timestamp_seconds", account="account-1") == NOW
                assert seen.value("up", account="account-2") == 1
                assert seen.total("source_servers", account="account-2") == 40
                assert seen.values("account_info", account="account-1")
            assert shown == [30] * 5 + [30 if policy == "keep" else 0] * 2
            running[0].faults.clear()
            await minutes(service, clock, 1)
            seen = await scrape(service.urls[0])
    assert (seen.value("up", account="account-1"), seen.total("source_servers", account="account-1")) == (1, 30)


async def test_stale_series_are_dropped_from_every_format(clock: FakeClock) -> None:
    async with simulators(clock, 30) as running:
        async with exporting(running[0], clock, poll={"stale_after": "2m"}) as service:
            running[0].faults.add("forbidden")
            await minutes(service, clock, 3)
            _, text, _ = await fetch(f"{service.urls[0]}/metrics", Accept="application/openmetrics-text")
    assert "source_server" not in text.replace("snapshot_source_servers", "").replace("api_source_servers", "")
    assert "huaweicloud_sms_up" in text


RULES = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: huaweicloud_sms_up{account="a"}
        values: '{up}'
      - series: huaweicloud_sms_last_success_timestamp_seconds{account="a"}
        values: '{success}'
      - series: huaweicloud_sms_poll_interval_seconds{account="a"}
        values: '60x12'
    alert_rule_test:
{tests}
"""


async def test_a_rule_on_up_and_age_fires_during_an_outage(clock: FakeClock, tmp_path: Path) -> None:
    """The series of promtool's test are what the exporter exposed minute by minute."""
    promtool = program("promtool")
    up, success = [], []
    async with simulators(clock, 30) as running, exporting(running[0], clock) as service:
        for minute in range(12):
            if minute == 3:
                running[0].faults.add("forbidden")
            if minute == 9:
                running[0].faults.clear()
            if minute:
                await minutes(service, clock, 1)
            seen = await scrape(service.urls[0])
            up.append(seen.value("up"))
            success.append((seen.value("last_success_timestamp_seconds") or 0) - 1_800_000_000)
    (tmp_path / "rules.yml").write_text(
        "groups: [{name: sms, rules: [{alert: Stale, expr: 'huaweicloud_sms_up == 0 and time() - "
        "huaweicloud_sms_last_success_timestamp_seconds > 3 * huaweicloud_sms_poll_interval_seconds'}]}]",
    )
    firing = [minute for minute in range(12) if up[minute] == 0 and minute * 60 - success[minute] > 180]
    tests = "".join(
        f"      - {{eval_time: {minute}m, alertname: Stale, exp_alerts: "
        f"[{'{exp_labels: {account: a}}' if minute in firing else ''}]}}\n"
        for minute in range(12)
    )
    values = {"{up}": " ".join(map(str, up)), "{success}": " ".join(map(str, success)), "{tests}": tests}
    text = RULES
    for place, value in values.items():
        text = text.replace(place, value)
    (tmp_path / "test.yml").write_text(text)
    status, output, errors = await run(promtool, "test", "rules", str(tmp_path / "test.yml"))
    assert status == 0, output + errors
    assert up == [1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert firing == [6, 7, 8]


async def test_a_compressed_probe_is_complete(clock: FakeClock) -> None:
    async with simulators(clock, 10, 10) as running:
        async with exporting(running[0], clock, accounts=accounts_of(running)) as service:
            status, text, headers = await fetch(
                f"{service.urls[0]}/probe?account=account-2", **{"Accept-Encoding": "gzip"}
            )
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert Scrape(text).label_values("source_server_info", "account") == ["account-2"] * 10


async def test_seventy_thousand_servers_are_read_in_parts(clock: FakeClock) -> None:
    parts = [("replicate", "replicating", 40_000), ("error", "syncing", 25_000), ("finished", "cutovered", 5000)]
    ids = [(f"{state}-{number}", state) for state, _, many in parts for number in range(many)]
    offsets: list[int] = []

    @functools.cache
    def ids_of(state: str | None) -> Sequence[str]:
        return [server_id for server_id, own in ids if state in (own, None)]

    async def page(request: web.Request) -> web.Response:
        offset, rows = int(request.query["offset"]), ids_of(request.query.get("state"))
        offsets.append(offset)
        servers = [{"id": server_id, "state": server_id.partition("-")[0]} for server_id in rows[offset : offset + 200]]
        return web.json_response({"count": len(rows), "source_servers": servers})

    async with serving(page) as url:
        collector = {"servers": False, "tasks": False, "checks": False}
        poll = {"interval": "10m", "timeout": "10m"}
        # Time does not pass here: with the default rate limit the later requests would wait forever.
        async with exporting(FakeApi(url), clock, api={"rate_limit": 1000}, collector=collector, poll=poll) as service:
            seen = await scrape(service.urls[0])
    assert (seen.value("up"), seen.total("source_servers")) == (1, 70_000)
    assert seen.value("snapshot_source_servers") == seen.value("api_source_servers") == 70_000
    assert max(offsets) <= 65_535
