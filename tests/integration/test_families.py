"""The demo shows all declared families; undocumented values; options of collectors."""

import pytest
from structlog.testing import capture_logs

from exporter.families import DETAIL_COLLECTORS, FLEET, OPTIONAL_COLLECTORS
from exporter.simulator import Simulator
from programs import demo, until
from support import FakeClock, exporting, next_poll, scrape
from tools.docs.generate import APPEARS


async def test_every_family_has_a_sample_in_the_demo_or_the_docs_say_when_it_appears() -> None:
    names = {
        family.name + ("_total" if family.kind == "counter" else "")
        for collector in (FLEET, *OPTIONAL_COLLECTORS, *DETAIL_COLLECTORS)
        for family in collector.families
    }

    expected = names - APPEARS.keys()
    assert len(expected) > 50

    async def is_complete() -> bool:
        seen = await scrape(url)
        return expected <= {name.removeprefix("huaweicloud_sms_") for name, _ in seen.samples}

    async with demo() as url:
        # The further lists are read after the first poll.
        await until(is_complete)


@pytest.mark.parametrize(
    ("field", "override", "metric", "label"),
    [
        ("state", {"state": "premiging"}, "source_server_state", "state"),
        ("migration_cycle", {"migration_cycle": "no_ready"}, "source_server_migration_cycle", "migration_cycle"),
        ("current_task.state", {"current_task": {"id": "t", "state": "NEW"}}, "task_state", "state"),
        ("checks.result", {"checks": [{"name": "CPU", "result": "MAYBE"}]}, "source_server_checks", "result"),
        ("os_type", {"os_type": "BSD"}, "source_servers_by_os", "os_type"),
    ],
)
async def test_an_undocumented_value_counts_as_other_and_is_logged_once_while_it_lasts(
    field: str, override: dict[str, object], metric: str, label: str, clock: FakeClock
) -> None:
    async with Simulator(servers=5, clock=clock) as simulator, exporting(simulator, clock) as service:
        simulator.fleet.freeze()
        await next_poll(clock)
        usual = await scrape(service.urls[0])
        with capture_logs() as logs:
            simulator.fleet.override(simulator.fleet.ids[0], **override)
            await next_poll(clock)
            await next_poll(clock)
            odd = await scrape(service.urls[0])
            simulator.fleet.clear_overrides()
            await next_poll(clock)
            again = await scrape(service.urls[0])
    assert odd.total(metric, **{label: "other"}) == 1
    assert odd.value("exporter_unknown_values_total", field=field) == 2
    assert again.value("exporter_unknown_values_total", field=field) == 2
    assert again.values(metric) == usual.values(metric)
    told = [entry for entry in logs if entry["event"] == "undocumented value counts as other"]
    assert [entry["field"] for entry in told] == [field]


async def test_the_state_set_has_all_states_of_a_server(clock: FakeClock) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        async with exporting(simulator, clock, collector={"state_set": True}) as service:
            seen = await scrape(service.urls[0])
    assert len(seen.values("source_server_state")) == 3 * 20
    assert seen.total("source_server_state") == 3


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"info_labels_exclude": ("ip", "name")}, {"enterprise_project_id", "os_type", "os_version"}),
        ({"info_labels_include": ("name", "os_type")}, {"name", "os_type"}),
    ],
)
async def test_labels_of_the_info_metrics_can_be_left_out(
    options: dict[str, object], labels: set[str], clock: FakeClock
) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        ips = {record["ip"] for record in simulator.fleet.records()}
        async with exporting(simulator, clock, collector=options) as service:
            seen = await scrape(service.urls[0])
    for own in seen.values("source_server_info"):
        assert set(dict(own)) == {"account", "server_id"} | labels
    assert not any(ip in seen.text for ip in ips)


@pytest.mark.parametrize("collector", [collector.name for collector in OPTIONAL_COLLECTORS])
async def test_a_collector_is_switched_by_the_option_of_its_name(collector: str, clock: FakeClock) -> None:
    families = next(one.families for one in OPTIONAL_COLLECTORS if one.name == collector)
    async with Simulator(servers=60, clock=clock) as simulator:
        for on in (True, False):
            async with exporting(simulator, clock, collector={collector: on}) as service:
                seen = await scrape(service.urls[0])
            assert any(seen.values(family.name) for family in families) == on


@pytest.mark.parametrize(("unit", "factor"), [("mbit", 125_000), ("mbyte", 1_000_000)])
async def test_speeds_are_converted_by_the_unit_that_is_set(unit: str, factor: int, clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.fleet.override(
            simulator.fleet.ids[0],
            state="replicate",
            current_task={"id": "t", "migrate_speed": 2.5, "speed_limit": 3},
        )
        async with exporting(simulator, clock, api={"migrate_speed_unit": unit}) as service:
            seen = await scrape(service.urls[0])
    assert seen.value("task_migrate_speed_bytes_per_second") == 2.5 * factor
    assert seen.value("source_servers_migrate_speed_bytes_per_second", state="replicate") == 2.5 * factor
    # The limit's unit is not in doubt.
    assert seen.value("task_speed_limit_bytes_per_second") == 3 * 125_000
