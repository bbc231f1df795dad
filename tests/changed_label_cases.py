"""The scenarios in which a label has an old and a new value at the same time, as after a restart of Prometheus.

Prometheus writes no staleness markers while it restarts, so that series which end then are visible for 5 more minutes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from detail_cases import DRILLED, LAST_SYNC, PREFIX, Samples, compare
from promtool import Exporter, Group, Server, group, outdated, since
from rule_cases import ALL, HEALTHY, ON_SERVERS, PROBLEMS, SERVERS, seconds_ago

TARGET: Final = 'account="a", job="sms", instance="x"'
STATE: Final = f"server:{PREFIX}state:freshest"
EXPORTER: Final = f"exporter:{PREFIX}last_success_timestamp_seconds:freshest"


def groups() -> Iterator[Group]:
    """Return all test groups."""
    yield _records_of_before()
    yield _restart()
    yield _joins()


def lasting(series: str, value: float = 1) -> Mapping[str, str]:
    """Return a series that no rule marks as stale, because no rule has written it. It begins in minute 20."""
    return {"series": series, "values": f"_x20 {value:.10g}x40"}


def _records_of_before() -> Group:
    """Return a group with records of another name and another enterprise project of each server with a problem."""
    before = [
        lasting(f'{STATE}{{account="a", server_id="{name}", state="{server.state}", {facts}}}')
        for name, server in PROBLEMS.items()
        for facts in (
            f'name="old", enterprise_project_id="{server.project}"',
            'name="older", enterprise_project_id="old"',
        )
    ]
    case = group("records of before", [Exporter(SERVERS)], {58: ALL}, among=ON_SERVERS, series=before)
    return compare(case, 58, {'count by (alertname, server_id) (ALERTS{alertstate="firing"}) > 1': {}})


def _restart() -> Group:
    """Return a group in which a server has another name and state after a restart in minute 30."""
    servers = [
        ("1", replace(HEALTHY, name="new", project="new", listed=since(31))),
        ("2", Server(state="error", name="two")),
    ]
    own = f'{TARGET}, server_id="1"'
    before = [
        {"series": f'{PREFIX}source_server_state{{{own}, state="error"}}', "values": "1x30 _x30"},
        {
            "series": f'{PREFIX}source_server_info{{{own}, name="old", enterprise_project_id="old"}}',
            "values": "1x30 _x30",
        },
    ]
    expected = {29: {"SmsServerFailed/1", "SmsServerFailed/2"}, 36: {"SmsServerFailed/2"}}
    case = group("a restart", [Exporter(servers)], expected, among="SmsServerFailed", series=before)
    new = f'{STATE}{{account="a", server_id="1", state="replicate", name="new", enterprise_project_id="new"}}'
    for minute in (31, 34):
        case = compare(case, minute, {f'{STATE}{{server_id="1"}}': {new: 1.0}})
    return case


def _joins() -> Group:
    """Return a group in which every series that others are joined with has two values of a label that changes."""
    project = ("source_server_project_info", 'project_id="p", project="new"', lambda _: 1.0)
    errors = ("task_error", 'error_code="SMS.5403"', lambda _: 1.0)
    lag = (LAST_SYNC, "", seconds_ago(60))
    speed = ("task_migrate_speed_bytes_per_second", "", lambda _: 5.0)
    servers = [
        (
            "1",
            replace(DRILLED, size=1000, remaining=90, more=[project, errors, lag, speed]),
        ),
        ("2", replace(HEALTHY, replicated=lambda minute: 60 * minute, size=3605, remaining=9)),
    ]
    new = Exporter(servers)
    old, other = outdated(new)
    before = [
        lasting(f'{EXPORTER}{{account="a", job="sms", instance="{old.instance}"}}'),
        lasting(f'{EXPORTER}{{account="a", job="{other.job}", instance="{other.instance}"}}'),
        lasting('sms:error_remedy{error_code="SMS.5403", remedy="old"}'),
        lasting('sms:max_sync_lag_seconds{limit="old"}', 50),
        lasting(f'{PREFIX}source_server_info{{{TARGET}, server_id="1", name="old"}}'),
        lasting(f'{PREFIX}source_server_project_info{{{TARGET}, server_id="1", project_id="p", project="old"}}'),
        lasting(f'{PREFIX}source_server_state{{{TARGET}, server_id="2", state="stopped"}}'),
        lasting(f'{STATE}{{account="a", server_id="2", state="syncing", name="old"}}'),
    ]
    case = group("labels with two values", [new, old, other], {60: set()}, among=ON_SERVERS, series=before)
    by_server = "count by (server_id)"
    expected: dict[str, Samples] = {
        f"{by_server} ({STATE}{{name!='old'}} or {STATE}{{server_id='1'}})": {
            '{server_id="1"}': 1,
            '{server_id="2"}': 1,
        },
        f"{by_server} (server:{PREFIX}error_remedy:freshest{{remedy!=''}})": {'{server_id="1"}': 1},
        f'sum(project:{PREFIX}verdict:count{{project_id="p"}})': {"{}": 1},
        f"max by (server_id) (server:{PREFIX}remaining_bytes:freshest)": {'{server_id="1"}': 940, '{server_id="2"}': 5},
        f"max by (server_id) (server:{PREFIX}remaining_seconds:estimated)": {
            '{server_id="1"}': 90,
            '{server_id="2"}': 9,
        },
        f"server:{PREFIX}verdict:first{{verdict='lagging'}}": {},
    }
    return compare(case, 60, expected)
