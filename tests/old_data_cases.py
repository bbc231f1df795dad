"""The scenario of data that rules must not use: the old list of one exporter while another one has a fresh list."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from detail_cases import DRILLED, LAST_SYNC, PREFIX, compare
from promtool import DEADLINE, Exporter, Group, Server, Value, group, since, until
from rule_cases import HEALTHY, NEVER, ON_SERVERS, SERVERS, cpu, seconds_ago, subtask

RULES: Final = Path(__file__).parent.parent / "deploy" / "prometheus" / "rules"
OLD_ACCOUNTS: Final = ("stale", "empty-instance", "empty-job", "instance", "job")
"""The accounts of which one exporter has an old list, with all problems."""
WITHOUT_SERVERS: Final = 'account=~"stale|empty-.+"'
"""Those for which no other exporter has a list, or one that is empty."""
WITH_SERVERS: Final = 'account=~"instance|job"'
"""Those for which another exporter has a list of the same servers without problems."""
OF_DETAILS: Final = re.compile(
    "server:.+(?:error|lag|running|estimated|clone|drilled|disconnected|stalled)|.+(?:median|speed.+sum)"
)
"""Records of problems and details, which those servers do not have."""


def unused_data() -> Group:
    """Return a group with old data that must not be used. The labels of fresh data differ from its labels by one.

    The exporter of the old data has fresh data of account `fresh`. Another instance, or another job, has the fresh data
    of the other accounts, except `stale`.
    """
    details = [
        *cpu(1, 1),
        (LAST_SYNC, "", NEVER),
        subtask("start", NEVER, "CLONE_VM"),
        subtask("start", NEVER, "SSL_CONFIG"),
        subtask("end", lambda _: -1, "SSL_CONFIG"),
        ("source_server_project_info", 'project_id="p", project="wave"', lambda _: 1.0),
        ("source_server_error", 'error_code="SMS.5403"', lambda _: 1.0),
        ("task_consistency_files", 'result="missing"', lambda _: 1.0),
        ("task_migrate_speed_bytes_per_second", "", lambda _: 9.0),
    ]
    servers = [
        *((name, replace(server, project=DEADLINE, more=[*details, *server.more])) for name, server in SERVERS),
        ("drilled", replace(DRILLED, remaining=9, more=details)),
        ("finished", Server(state="finished", changed=-8 * 24 * 3600)),
        ("creating", replace(HEALTHY, clone="CREATING", more=details)),
        ("checked", replace(HEALTHY, check="ERROR")),
        ("changed", replace(HEALTHY, changed=0, increased=lambda _: 4000)),
        ("undated", HEALTHY),
    ]
    sums: Sequence[tuple[str, str, Value]] = [
        ("source_servers", 'state="replicate"', lambda _: 95.0),
        ("source_servers_size_bytes", 'state="replicate"', lambda _: 9.0),
        ("source_servers_replicated_bytes", 'state="replicate"', lambda _: 9.0),
    ]
    old = Exporter(
        servers,
        polls_succeed=until(1),
        served_polls=1000,
        # So short that the list is old when it is scraped for the first time.
        poll_interval=0.1,
        is_target=since(1),
        missing=lambda _: 1,
        more=sums,
    )
    states = {"SmsServerPaused": "stopped", "SmsServerLagging": "syncing", "checked": "syncing"}
    details_of = {
        "SmsSourceOverloaded": cpu(0.95, 0.1),
        "creating": [subtask("start", seconds_ago(60), "SSL_CONFIG")],
    }
    plain = replace(HEALTHY, replicated=lambda minute: max(minute - 60, 0))
    healthy = [
        (name, replace(plain, state=states.get(name, "replicate"), more=details_of.get(name, ())))
        for name, _ in servers
        if name not in {"undated", "changed"}
    ]
    once = replace(plain, increased=lambda _: 3000, replicated=lambda minute: float(minute >= 10))
    healthy += [("undated", replace(plain, changed=None)), ("changed", once)]
    exporters = [
        *(replace(old, account=account) for account in OLD_ACCOUNTS),
        Exporter([("1", HEALTHY)], account="fresh", is_target=since(1)),
        Exporter(account="empty-instance", instance="y"),
        Exporter(account="empty-job", job="other"),
        Exporter(healthy, account="instance", instance="y"),
        Exporter(healthy, account="job", job="other"),
    ]
    deadline = f'sms:migration_deadline_timestamp_seconds{{account="ACCOUNT", enterprise_project_id="{DEADLINE}"}}'
    case = group(
        "data that must not be used",
        exporters,
        {70: {"SmsDataStale@stale"}},
        among=f"{ON_SERVERS}|Sms(AccountNearLimit|SnapshotsNotCleared|DataIncomplete|ListShrunk|DataStale)",
        series=[{"series": deadline.replace("ACCOUNT", account), "values": "-60x70"} for account in OLD_ACCOUNTS],
    )
    known = {
        f"account:{PREFIX}fresh:bool": {"stale": 0.0, "empty-instance": 1, "empty-job": 1},
        f"account:{PREFIX}source_servers:freshest": {"empty-instance": 0.0, "empty-job": 0},
    }
    running = f"server:{PREFIX}subtask_seconds:running"
    of_subtask = {
        f'{running}{{account="{account}", server_id="creating", subtask="SSL_CONFIG"}}': 60.0
        for account in ("instance", "job")
    }
    for name in _records():
        samples = {f'{name}{{account="{account}"}}': value for account, value in known.get(name, {}).items()}
        compare(case, 30, {f"{name}{{{WITHOUT_SERVERS}}}": samples})
        if OF_DETAILS.match(name):
            compare(case, 30, {f"{name}{{{WITH_SERVERS}}}": of_subtask if name == running else {}})
    verdicts = {
        f'{{account="{account}", server_id="{server_id}", verdict="no_drill"}}': 1.0
        for account in ("instance", "job")
        for server_id in ("SmsServerLagging", "checked")
    }
    of_syncing = f'server:{PREFIX}verdict:first{{{WITH_SERVERS}, state="syncing"}}'
    of_projects = f'project:{PREFIX}verdict:count{{{WITH_SERVERS}, project!=""}}'
    undated = f"server:{PREFIX}undated_state:freshest"
    changed = f"server:{PREFIX}state_since_timestamp_seconds:freshest"
    states_of = {
        f'{undated}{{account="{account}", server_id="undated", state="replicate"}}': 1.0
        for account in ("instance", "job")
    }
    changes = {f'{changed}{{account="{account}", server_id="changed"}}': -7200.0 for account in ("instance", "job")}
    replicated = f"account:{PREFIX}replicated_bytes:sum"
    sums_of = {f'{replicated}{{account="{account}"}}': 1.0 for account in ("instance", "job")}
    increased = f"server:{PREFIX}last_increase_timestamp_seconds:freshest"
    increases = {f'{increased}{{account="{account}", server_id="changed"}}': 3000.0 for account in ("instance", "job")}
    return compare(
        case,
        30,
        {
            f"group by (account, server_id, verdict) ({of_syncing})": verdicts,
            of_projects: {},
            f"{undated}{{{WITH_SERVERS}}}": states_of,
            f'{changed}{{{WITH_SERVERS}, server_id="changed"}}': changes,
            f"{replicated}{{{WITH_SERVERS}}}": sums_of,
            f'{increased}{{{WITH_SERVERS}, server_id="changed"}}': increases,
        },
    )


def _records() -> Iterator[str]:
    """Return the names of the records on accounts, servers and projects."""
    for file in sorted(RULES.glob("*.yml")):
        for each in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in each["rules"]:
                if re.match("(?:account|server|project)[a-z_]*:", rule.get("record", "")):
                    yield rule["record"]
