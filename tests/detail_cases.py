"""The scenarios of rules that read the collectors of other lists: verdicts, lag, subtasks, projects, targets."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from promtool import Exporter, Group, Server, Value, combined, group, outdated, since, until
from rule_cases import HEALTHY, NEVER, SERVERS, cpu, during, seconds_ago, subtask

PREFIX: Final = "huaweicloud_sms_"
DETAIL_ALERTS: Final = {"SmsServerLagging", "SmsSubtaskSlow", "SmsSourceOverloaded"}

Samples = Mapping[str, float]
"""The values of series by their labels."""

SYNCING: Final = Server(state="syncing", replicated=lambda minute: minute, size=10**6)
DRILLED: Final = replace(SYNCING, clone="FINISHED")
RATIO: Final = f'account:{PREFIX}replicated:ratio{{account="a"}}'
LAST_SYNC: Final = "task_last_sync_timestamp_seconds"


def groups() -> Iterator[Group]:
    """Return all test groups."""
    yield combined("subtasks compared with their usual time", dict(_subtasks()))
    yield combined("details that are not read or dropped", dict(_without_details()))
    yield combined("collectors that fail", dict(_failing_collectors()))
    yield _targets()
    yield _verdicts()
    yield _verdicts_of_projects()
    yield _drills()
    yield combined("replicated share", dict(_shares()))
    yield _errors()
    yield _details_of_two_exporters()
    yield _sums_of_the_cut_over()


def _subtasks() -> Iterator[tuple[str, Group]]:
    """Return groups in which other tasks show how long a subtask usually takes: 700, 1,000 and 9,000 seconds."""
    ended = [
        replace(HEALTHY, more=[subtask("start", lambda _: -20000), subtask("end", lambda _, end=seconds - 20000: end)])  # type: ignore[misc]
        for seconds in (700, 1000, 9000)
    ]
    for running, alerts in ((3000, set[str]()), (3001, {"SmsSubtaskSlow/running"})):
        server = ("running", replace(HEALTHY, more=[subtask("start", seconds_ago(running))]))
        servers = [*((str(number), each) for number, each in enumerate(ended)), server]
        yield f"running-for-{running}", group("", [Exporter(servers)], {4: set(), 20: alerts}, among="SmsSubtaskSlow")
    quick = replace(HEALTHY, more=[subtask("start", lambda _: -60), subtask("end", lambda _: 0)])
    minimum = ("running", replace(HEALTHY, more=[subtask("start", seconds_ago(1790))]))
    yield "quick", group("", [Exporter([("1", quick), minimum])], {20: set()}, among="SmsSubtaskSlow")
    names = ("CREATE_CLOUD_SERVER", "SSL_CONFIG")
    events = (("start", 120), ("end", 60))
    times = [subtask(event, seconds_ago(seconds), name) for name in names for event, seconds in events]
    first = ("first", replace(HEALTHY, more=[*times, subtask("start", seconds_ago(1801))]))
    yield "never-ended", group("", [Exporter([first])], {20: {"SmsSubtaskSlow/first"}}, among="SmsSubtaskSlow")
    copies = ("MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE")
    times = [subtask(event, seconds_ago(seconds), name) for name in copies for event, seconds in events]
    copying = [(name, replace(HEALTHY, more=[subtask("start", NEVER, name)])) for name in copies]
    yield (
        "copies",
        group("", [Exporter([("1", replace(HEALTHY, more=times)), *copying])], {20: set()}, among="SmsSubtaskSlow"),
    )


def _without_details() -> Iterator[tuple[str, Group]]:
    """Return groups in which servers lose their data in minute 60. If the collector is off, their alerts resolve."""
    servers = [each for each in SERVERS if each[0] in DETAIL_ALERTS]
    lost = [*during(servers, until(60)), *((name, replace(SYNCING, listed=since(60))) for name, _ in servers)]
    kept = [(f"{name}-kept", server) for name, server in servers]
    remaining = {f"{name}/{name}-kept" for name in DETAIL_ALERTS}
    alerts = {f"{name}/{name}" for name in DETAIL_ALERTS} | remaining
    failing = ("collector_up", 'collector="task_details"', lambda minute: minute < 60)
    dropped = ("exporter_series_dropped", 'collector="task_details"', lambda minute: minute >= 60)
    for key, more, after in (("not-read", [failing], alerts), ("dropped", [dropped], alerts), ("off", [], remaining)):
        exporter = Exporter([*lost, *kept], more=more)
        yield key, group("", [exporter], {59: alerts, 80: after}, among="|".join(DETAIL_ALERTS))


def _failing_collectors() -> Iterator[tuple[str, Group]]:
    """Return groups in which the readings of a collector fail until minute 30, in one and in one of two exporters."""
    others = ("collector_up", 'collector="tasks"', lambda _: 1.0)
    failing = Exporter(more=[("collector_up", 'collector="errors"', lambda minute: minute >= 30), others])
    among = "SmsCollectorFailing"
    times = {14: set[str](), 15: {among}, 32: {among}, 34: set[str]()}
    yield "failing", group("", [failing], times, among=among)
    working = Exporter(instance="y", more=[("collector_up", 'collector="errors"', lambda _: 1)])
    yield "failing-in-one-of-two", group("", [failing, working], {29: set()}, among=among)


def _targets() -> Group:
    """Return a group with probes of launched targets, which need no data of the exporter."""
    answers = {"up": "1x60", "down": "0x60", "boots": "0x8 1x51", "fixed": "0x30 1x29", "removed": "0x30 stale"}
    probes = [
        {
            "series": f'probe_success{{job="sms-launched", account="a", server_id="{name}", instance="10.0.0.1:22"}}',
            "values": values,
        }
        for name, values in answers.items()
    ]
    other = {"series": 'probe_success{job="blackbox", account="a", server_id="other"}', "values": "0x60"}
    down = {f"SmsTargetNotAnswering/{name}" for name in ("down", "fixed", "removed")}
    expected = {9: set[str](), 11: down, 34: down, 37: {"SmsTargetNotAnswering/down"}}
    return group("launched targets", [], expected, among="SmsTarget.+", series=[*probes, other])


def compare(case: Group, minute: int, expected: Mapping[str, Samples]) -> Group:
    """Add queries and their samples in a minute to a test group."""
    case["promql_expr_test"] += [
        {
            "expr": query,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for query, samples in expected.items()
    ]
    return case


def _verdicts() -> Group:
    """Return a group with a server for each verdict, whose ID is the verdict; further ones have a number."""
    synchronized = (LAST_SYNC, "", seconds_ago(60))
    lagging = (LAST_SYNC, "", seconds_ago(3601))
    differs, missing, extra = (
        ("task_consistency_files", f'result="{result}"', lambda _: 1) for result in ("different", "missing", "extra")
    )
    identical = ("task_consistency_files", 'result="missing"', lambda _: 0)
    everything = replace(SYNCING, more=[lagging, missing], connected=0, check="ERROR")
    servers = {
        "not_synchronizing": replace(HEALTHY, more=[lagging]),
        **{f"not_synchronizing-{state}": Server(state=state) for state in ("waiting", "error", "stopped", "cloning")},
        "lagging": everything,
        "disconnected": replace(everything, more=[synchronized, missing]),
        "check_failed": replace(everything, more=[synchronized, missing], connected=1),
        "inconsistent": replace(SYNCING, more=[synchronized, missing]),
        "inconsistent-different": replace(DRILLED, more=[differs]),
        "no_drill": replace(SYNCING, more=[synchronized, identical]),
        "ready": replace(DRILLED, more=[(LAST_SYNC, "", seconds_ago(3600)), identical, extra], check="WARN"),
        "ready-without-collectors": DRILLED,
        "launching": replace(everything, state="cutovering"),
        **{f"launched-{state}": Server(state=state) for state in ("finished", "clearing", "cleared", "clearfailed")},
        "none": Server(state="deleting"),
    }
    # Servers with the same IDs in other accounts have the next verdict, or the one before.
    others = [
        Exporter([(name, BY_VERDICT[other]) for name, other in pairs], account=account)
        for account, pairs in (("next", itertools.pairwise(ORDER)), ("before", itertools.pairwise(reversed(ORDER))))
    ]
    case = _empty(Exporter(list(servers.items())), *others)
    case["name"] = "verdicts of servers"
    verdicts = {
        f'{{account="a", server_id="{name}", verdict="{name.partition("-")[0]}"}}': 1.0
        for name in servers
        if name != "none"
    }
    for account, pairs in (("next", itertools.pairwise(ORDER)), ("before", itertools.pairwise(reversed(ORDER)))):
        verdicts |= {f'{{account="{account}", server_id="{name}", verdict="{other}"}}': 1.0 for name, other in pairs}
    query = f"group by (account, server_id, verdict) (server:{PREFIX}verdict:first)"
    count, first = f"project:{PREFIX}verdict:count", f"project:{PREFIX}verdict:first"
    whole = {
        f'sum by (verdict) ({count}{{account="a", verdict=~"launched|ready"}})': {
            '{verdict="launched"}': 4.0,
            '{verdict="ready"}': 2.0,
        },
        f'{first}{{account="a"}}': {f'{first}{{account="a", verdict="not_synchronizing"}}': 1.0},
    }
    return compare(case, 5, {query: verdicts, **whole})


ORDER: Final = (
    "not_synchronizing",
    "lagging",
    "disconnected",
    "check_failed",
    "inconsistent",
    "no_drill",
    "ready",
    "launching",
    "launched",
)
BY_VERDICT: Final[Mapping[str, Server]] = {
    "not_synchronizing": HEALTHY,
    "lagging": replace(DRILLED, more=[(LAST_SYNC, "", NEVER)]),
    "disconnected": replace(DRILLED, connected=0),
    "check_failed": replace(DRILLED, check="ERROR"),
    "inconsistent": replace(DRILLED, more=[("task_consistency_files", 'result="missing"', lambda _: 1)]),
    "no_drill": SYNCING,
    "ready": DRILLED,
    "launching": Server(state="cutovering"),
    "launched": Server(state="finished"),
}


def _verdicts_of_projects() -> Group:
    """Return a group with a project for each pair of neighbouring verdicts, of which the first counts.

    Another account has the same projects, each with the second verdict only, and the same servers without a project.
    """
    servers: list[tuple[str, Server]] = []
    others: list[tuple[str, Server]] = []
    expected: dict[str, float] = {}
    for number, pair in enumerate([*itertools.pairwise(ORDER), ("launched",)]):
        labels = f'project_id="{number}", project="wave {number}"'
        member = ("source_server_project_info", labels, lambda _: 1.0)
        for verdict in pair:
            server = BY_VERDICT[verdict]
            servers.append((f"{number}-{verdict}", replace(server, more=[*server.more, member])))
            others.append((f"{number}-{verdict}", BY_VERDICT["launched"]))
        expected[f'project:{PREFIX}verdict:first{{account="a", {labels}, verdict="{pair[0]}"}}'] = 1
        last = BY_VERDICT[pair[-1]]
        others.append((str(number), replace(last, more=[*last.more, member])))
        expected[f'project:{PREFIX}verdict:first{{account="b", {labels}, verdict="{pair[-1]}"}}'] = 1
    expected[f'project:{PREFIX}verdict:first{{account="b", verdict="launched"}}'] = 1
    case = _empty(Exporter(servers), Exporter(others, account="b"))
    case["name"] = "verdicts of projects"
    return compare(case, 5, {f"project:{PREFIX}verdict:first": expected})


def _drills() -> Group:
    """Return a group in which servers had a drill earlier. It is remembered in an outage, but not after a deletion."""
    servers = [
        ("drill", Server(state="premiged", listed=until(10))),
        ("drill", replace(SYNCING, listed=lambda minute: minute >= 10)),
        ("clone", replace(DRILLED, listed=until(10))),
        ("clone", replace(SYNCING, listed=lambda minute: minute >= 10)),
        ("new", replace(DRILLED, listed=until(10))),
        ("new", replace(SYNCING, listed=lambda minute: minute >= 20)),
    ]
    exporter = Exporter(servers, polls_succeed=lambda minute: not 30 <= minute < 60)
    listed = Exporter([("new", SYNCING)], account="listed")
    outage = Exporter(account="outage", polls_succeed=until(1))
    case = group("drills", [exporter, listed, outage], {70: set()}, among="None")
    case["promql_expr_test"] = []
    query = f'group by (server_id, verdict) (server:{PREFIX}verdict:first{{account="a"}})'
    verdicts = {"drill": "ready", "clone": "ready", "new": "no_drill"}
    samples = {f'{{server_id="{name}", verdict="{verdict}"}}': 1.0 for name, verdict in verdicts.items()}
    for minute in (25, 62):
        compare(case, minute, {query: samples})
    return compare(case, 45, {query: {}})


def _shares() -> Iterator[tuple[str, Group]]:
    """Return groups with the replicated share, which does not decrease when the API no longer reports a size."""
    done = Server(size=300, replicated=lambda _: 300, listed=until(10))
    half = Server(size=100, replicated=lambda _: 50)

    def after(state: str) -> Server:
        return Server(state=state, size=0, replicated=lambda _: 0, listed=lambda minute: minute >= 10)

    for state, share in (("finished", 350), ("clearing", 350), ("cleared", 350), ("clearfailed", 350), ("waiting", 50)):
        exporter = Exporter([("1", done), ("1", after(state)), ("2", half)], polls_succeed=lambda m: not 20 <= m < 40)
        case = group("", [exporter], {50: set()}, among="None")
        case["promql_expr_test"] = []
        for minute, ratio in ((9, 350 / 400), (15, share / 400), (45, share / 400)):
            compare(case, minute, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: ratio}})
        for record in ("size_bytes:sum", "replicated_bytes:sum"):
            compare(case, 30, {f'account:{PREFIX}{record}{{account=~".*"}}': {}})
        yield f"{state}-without-size", case
    deleted = Exporter([("1", done), ("2", half)])
    yield "deleted", compare(_empty(deleted), 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: 0.5}})
    # Another account has an outage when the second one is deleted.
    case = _empty(Exporter([("1", done), ("3", replace(done, listed=until(30))), ("2", half)]))
    for minute, number in ((15, 2), (35, 1)):
        compare(case, minute, {f'count(server:{PREFIX}size_bytes:last{{account=~".*"}})': {"{}": number}})
    yield "deleted-size", case
    small = Exporter([("1", Server(size=4, replicated=lambda _: 2))])
    yield "small", compare(_empty(small), 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: 0.5}})
    larger = ("2", Server(size=1000, replicated=lambda _: 900))
    old = outdated(Exporter([larger]))
    new = Exporter([("2", half)])
    yield (
        "old-list",
        compare(_empty(new, *old), 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: 0.5}}),
    )
    never = Exporter(
        [
            ("1", Server(size=0, replicated=lambda _: 70)),
            ("2", half),
            ("3", Server(state="finished", size=0, replicated=lambda _: 0)),
        ]
    )
    yield "unknown", compare(_empty(never), 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: 0.5}})
    sums: Sequence[tuple[str, str, Value]] = [
        ("source_servers_size_bytes", 'state="replicate"', lambda _: 100.0),
        ("source_servers_size_bytes", 'state="finished"', lambda _: 300.0),
        ("source_servers_replicated_bytes", 'state="replicate"', lambda _: 20.0),
        ("source_servers_replicated_bytes", 'state="finished"', lambda _: 300.0),
    ]
    old = outdated(Exporter(more=[(metric, labels, lambda _: 7000.0) for metric, labels, _ in sums]))
    both = _empty(Exporter(more=sums), *old)
    yield "sums-of-two", compare(both, 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: 0.8}})
    nothing = Exporter(more=[(metric, labels, lambda _: 0.0) for metric, labels, _ in sums])
    yield "sums-of-nothing", compare(_empty(nothing), 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {}})
    alone = Exporter(more=sums)
    yield "sums", compare(_empty(alone), 15, {f'account:{PREFIX}replicated:ratio{{account=~".*"}}': {RATIO: 0.8}})


def _empty(*exporters: Exporter) -> Group:
    """Return a test group without expectations."""
    case = group("", exporters, {50: set()}, among="None")
    case["promql_expr_test"] = []
    return case


def _errors() -> Group:
    """Return a group with error codes from both collectors, with and without a remedy, in two accounts."""

    def error(metric: str, code: str) -> tuple[str, str, Value]:
        return metric, f'error_code="{code}"', lambda _: 1.0

    servers = {
        "1": Server(state="error", more=[error("source_server_error", "SMS.5403"), error("task_error", "SMS.0515")]),
        "2": Server(state="error", more=[error("task_error", "SMS.9999")]),
    }
    other = Server(state="error", more=[error("task_error", "SMS.9998")])
    case = _empty(Exporter(list(servers.items())), Exporter([("1", other)], account="b"))
    case["name"] = "error codes"
    name = f"server:{PREFIX}error_remedy:freshest"
    remedy = "Check the bandwidth and the connection of the agent."
    samples = {
        f'{name}{{account="a", server_id="1", error_code="SMS.5403", remedy="{remedy}"}}': 1.0,
        f'{name}{{account="a", server_id="2", error_code="SMS.9999"}}': 1.0,
        f'{name}{{account="b", server_id="1", error_code="SMS.9998"}}': 1.0,
    }
    return compare(case, 5, {name: samples})


def _details_of_two_exporters() -> Group:
    """Return a group in which the details of an exporter with an old list are not used."""
    labels = 'project_id="p", project="wave"'

    def details(sync: float, start: float, project: str = labels) -> Sequence[tuple[str, str, Value]]:
        return [
            (LAST_SYNC, "", seconds_ago(sync)),
            subtask("start", seconds_ago(start), "CLONE_VM"),
            ("source_server_project_info", project, lambda _: 1.0),
        ]

    new = Exporter([("1", replace(DRILLED, more=details(60, 60))), ("2", SYNCING)])
    clone = ("task_clone_state", 'clone_state="FINISHED"', since(10))
    ended = [subtask("start", lambda _: -900, "SSL_CONFIG"), subtask("end", lambda _: -800, "SSL_CONFIG")]
    error = ("source_server_error", 'error_code="SMS.0515"', lambda _: 1.0)
    old_details = [
        error,
        *ended,
        *details(10, 7200, 'project_id="old", project="old"'),
        ("task_consistency_files", 'result="missing"', lambda _: 1.0),
        *cpu(1, 1),
    ]
    changed = replace(SYNCING, connected=0, check="ERROR", more=old_details)
    old = outdated(Exporter([("1", changed), ("2", replace(SYNCING, more=[clone]))]))
    case = group("details of two exporters", [new, *old], {10: set(), 30: set()}, among="Sms(S|C).+")
    query = f"group by (server_id, verdict) (server:{PREFIX}verdict:first)"
    verdicts = {'{server_id="1", verdict="ready"}': 1.0, '{server_id="2", verdict="no_drill"}': 1.0}
    without = f'project:{PREFIX}verdict:count{{account="a", verdict="no_drill"}}'
    of_project = f'project:{PREFIX}verdict:count{{account="a", {labels}, verdict="ready"}}'
    expected: dict[str, Samples] = {
        query: verdicts,
        f"project:{PREFIX}verdict:count": {of_project: 1, without: 1},
        f"account_subtask:{PREFIX}subtask_seconds:median": {},
        f"server:{PREFIX}error:freshest": {},
        f"sum by (server_id) (server:{PREFIX}sync_lag_seconds:freshest)": {'{server_id="1"}': 60},
    }
    return compare(case, 30, expected)


def _sums_of_the_cut_over() -> Group:
    """Return a group with the sums of the Cut-over dashboard, to which an exporter with an old list adds nothing.

    Account `a` is polled often enough to measure the speed, and account `rare` is not. The server of `burst` replicated
    data 20 minutes ago.
    """

    def server(state: str, os_type: str, speed: float) -> Server:
        """Return a server that replicates `speed` bytes per second, of which the API reports twice as many."""
        reported = [("task_migrate_speed_bytes_per_second", "", lambda _: 2 * speed)]
        facts = f', os_type="{os_type}"'
        return Server(
            state=state,
            facts=facts,
            size=10**5,
            replicated=lambda minute: speed * 60 * minute,
            remaining=99,
            more=reported,
        )

    servers = {
        "1": server("replicate", "LINUX", 10),
        "2": server("syncing", "LINUX", 5),
        "3": server("waiting", "LINUX", 3),
        "4": server("replicate", "WINDOWS", 2),
        "5": server("replicate", "WINDOWS", 1),
    }
    old = outdated(Exporter([("1", server("replicate", "LINUX", 7000))]))
    rarely = Exporter([("1", HEALTHY)], account="rare")
    once = replace(HEALTHY, replicated=lambda minute: 600 * (minute >= 30))
    burst = Exporter([("1", once), ("3", HEALTHY)], account="burst")
    exporters = [
        Exporter(list(servers.items()), poll_interval=10),
        rarely,
        burst,
        replace(rarely, instance="y", poll_interval=11),
    ]
    case = _empty(*exporters, *old)
    case["name"] = "sums of the Cut-over dashboard"

    def sums(record: str, **values: float) -> dict[str, Samples]:
        record = f"account_state_os_type:{PREFIX}{record}"
        keys = {key: key.split("_") for key in values}
        return {
            f'{record}{{account="a"}}': {
                f'{record}{{account="a", state="{state}", os_type="{os_type}"}}': values[key]
                for key, (state, os_type) in keys.items()
            }
        }

    expected = {
        **sums("source_servers:count", replicate_LINUX=1, syncing_LINUX=1, waiting_LINUX=1, replicate_WINDOWS=2),
        f'server:{PREFIX}replicated_bytes:deriv30m{{account="rare"}}': {},
        f'count(server:{PREFIX}replicated_bytes:deriv30m{{account="burst", server_id="1"}} > 0)': {"{}": 1},
        **{
            f'group by (server_id) (server:{PREFIX}{record}:freshest{{account="a"}})': {
                f'{{server_id="{server_id}"}}': 1 for server_id in ("1", "2", "4", "5")
            }
            for record in ("replicated_bytes", "last_increase_timestamp_seconds")
        },
        f'server:{PREFIX}remaining_seconds:estimated{{account="burst"}}': {},
        f'account_state_os_type:{PREFIX}task_migrate_speed_bytes_per_second:sum{{account="rare"}}': {},
        **sums("replicated_bytes:deriv30m", replicate_LINUX=10, syncing_LINUX=5, replicate_WINDOWS=3),
        **sums("remaining_bytes:sum", replicate_LINUX=70000, syncing_LINUX=85000, replicate_WINDOWS=191000),
        **sums("task_migrate_speed_bytes_per_second:sum", replicate_LINUX=20, syncing_LINUX=10, replicate_WINDOWS=6),
    }
    return compare(case, 50, expected)
