"""The scenarios that alerts are tested with: outages, restarts, replicas, renamed servers, changed lists.

In most of them an account has a server for each alert on servers, whose ID is the name of the alert.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from promtool import (
    DEADLINE,
    Exporter,
    Group,
    Server,
    Value,
    When,
    always,
    combined,
    except_between,
    group,
    outdated,
    since,
    until,
)

HOUR: Final = 60
DAY: Final = 24 * HOUR
STEP: Final = 4
"""Minutes between samples in cases that last for days; less than Prometheus's lookback of 5 minutes."""

Servers = Sequence[tuple[str, Server]]

NEVER: Final[Value] = lambda _: -7200  # noqa: E731
HEALTHY: Final = Server(replicated=lambda minute: minute, size=10**6)
STALLED: Final = Server(increased=NEVER)


def subtask(event: str, when: Value, name: str = "ATTACH_AGENT_IMAGE") -> tuple[str, str, Value]:
    """Return the series of the start or the end of a subtask."""
    return f"task_subtask_{event}_timestamp_seconds", f'subtask="{name}"', when


def seconds_ago(seconds: float) -> Value:
    """Return a time that is always the same number of seconds ago."""
    return lambda minute: minute * 60 - seconds


def cpu(source: float, agent: float) -> Sequence[tuple[str, str, Value]]:
    """Return the series of the CPU use of a source server and its agent."""
    return [("task_source_cpu_ratio", "", lambda _: source), ("task_agent_cpu_ratio", "", lambda _: agent)]


PROBLEMS: Final[Mapping[str, Server]] = {
    "SmsServerFailed": Server(state="error"),
    "SmsTaskFailed": replace(HEALTHY, task="SYNC_FAIL"),
    "SmsServerDisconnected": replace(HEALTHY, connected=0),
    "SmsServerStalled": STALLED,
    "SmsServerLate": replace(HEALTHY, project=DEADLINE),
    "SmsServerNotStarted": Server(state="waiting", project=DEADLINE),
    "SmsServerPaused": Server(state="stopped"),
    "SmsLaunchStuck": Server(state="cutovering"),
    "SmsCloneStuck": Server(state="cloning"),
    "SmsCheckFailed": Server(state="waiting", check="ERROR"),
    "SmsServerUnavailable": Server(state="unavailable"),
    "SmsServerLagging": replace(HEALTHY, state="syncing", more=[("task_last_sync_timestamp_seconds", "", NEVER)]),
    "SmsSubtaskSlow": replace(HEALTHY, more=[subtask("start", NEVER)]),
    "SmsSourceOverloaded": replace(HEALTHY, more=cpu(0.91, 0.46)),
}
ON_SERVERS: Final = "SmsServer.+|Sms(Task|Check)Failed|Sms(Launch|Clone)Stuck|Sms(SubtaskSlow|SourceOverloaded)"
NEAR_MISSES: Final[Mapping[str, Sequence[Server]]] = {
    "SmsServerFailed": [Server(state="stopping"), Server(state="premiged")],
    "SmsTaskFailed": [
        replace(HEALTHY, task="SYNC_SUCCESS"),
        *(Server(state=state, task="MIGRATE_FAIL") for state in ("error", "premigfailed", "clearfailed")),
        *(Server(state=state, task="MIGRATE_FAIL") for state in ("clearing", "deleting")),
    ],
    "SmsServerDisconnected": [HEALTHY, Server(state="waiting", connected=0), Server(state="finished", connected=0)],
    "SmsServerStalled": [
        HEALTHY,
        replace(STALLED, connected=0),
        replace(STALLED, size=5),
        replace(STALLED, changed=41 * 60),
        replace(STALLED, state="cloning"),
        replace(STALLED, increased=lambda _: 41 * 60),
    ],
    "SmsServerLate": [
        HEALTHY,
        replace(HEALTHY, project=DEADLINE, size=5, replicated=lambda _: 5, remaining=99),
        replace(HEALTHY, project=DEADLINE, state="cutovering"),
        replace(HEALTHY, project=DEADLINE, connected=0),
        replace(HEALTHY, project=DEADLINE, changed=27 * 60),
        replace(STALLED, project=DEADLINE),
    ],
    "SmsServerNotStarted": [
        Server(state="waiting"),
        Server(state="waiting", project="other"),
        Server(state="finished", project=DEADLINE),
    ],
    "SmsServerPaused": [
        Server(state="stopped", replicated=lambda _: 0),
        Server(state="stopped", size=5),
        Server(state="stopping"),
    ],
    "SmsLaunchStuck": [Server(state="cutovering", changed=11 * 60), Server(state="finished")],
    "SmsCloneStuck": [Server(state="cloning", changed=11 * 60), replace(HEALTHY, clone="FINISHED")],
    "SmsCheckFailed": [
        Server(state="waiting", check="WARN"),
        Server(state="finished", check="ERROR"),
        Server(state="deleting", check="ERROR"),
    ],
    "SmsServerUnavailable": [Server(state="waiting"), Server(state="unavailable", check="ERROR")],
    "SmsServerLagging": [
        replace(HEALTHY, state="syncing", more=[("task_last_sync_timestamp_seconds", "", seconds_ago(3600))]),
        replace(HEALTHY, more=[("task_last_sync_timestamp_seconds", "", NEVER)]),
        replace(HEALTHY, state="syncing"),
    ],
    "SmsSubtaskSlow": [
        replace(HEALTHY, more=[subtask("start", NEVER), subtask("end", lambda _: -7000)]),
        replace(HEALTHY, more=[subtask("start", seconds_ago(1800), "SSL_CONFIG")]),
        replace(HEALTHY, more=[subtask("start", NEVER, "MIGRATE_LINUX_FILE")]),
        replace(HEALTHY, more=[subtask("start", NEVER, "SYNC_WINDOWS_BLOCK")]),
        Server(state="error", more=[subtask("start", NEVER, "FORMAT_DISK_LINUX")]),
    ],
    "SmsSourceOverloaded": [
        replace(HEALTHY, more=cpu(0.9, 0.9)),
        replace(HEALTHY, more=cpu(0.95, 0.47)),
        replace(HEALTHY, state="stopped", more=cpu(1, 1)),
    ],
}
"""For each alert, servers that must not raise it, but nearly do."""

FURTHER: Final[Mapping[str, Sequence[Server]]] = {
    "SmsServerFailed": [Server(state=state) for state in ("premigfailed", "clearfailed")],
    "SmsTaskFailed": [replace(HEALTHY, task="MIGRATE_FAIL"), Server(state="finished", task="SYNC_FAIL")],
    "SmsServerDisconnected": [
        replace(HEALTHY, state=state, connected=0)
        for state in ("initialize", "syncing", "stopping", "cloning", "cutovering")
    ],
    "SmsServerStalled": [
        replace(STALLED, state="syncing"),
        replace(STALLED, changed=None),
        replace(STALLED, connected=None),
        replace(STALLED, size=0),
    ],
    "SmsServerLate": [
        replace(HEALTHY, project=DEADLINE, state="syncing"),
        replace(HEALTHY, project=DEADLINE, remaining=9),
    ],
    "SmsServerNotStarted": [
        Server(state=state, project=DEADLINE) for state in ("unavailable", "initialize", "premigready", "stopped")
    ],
    "SmsServerPaused": [Server(state="stopped", replicated=lambda _: 499)],
    "SmsLaunchStuck": [Server(state="cutovering", changed=None)],
    "SmsCloneStuck": [
        Server(state="cloning", changed=None),
        replace(HEALTHY, clone="CREATING"),
        replace(HEALTHY, clone="PREPARING"),
    ],
    "SmsCheckFailed": [Server(state="unavailable", check="ERROR"), Server(state="error", check="ERROR")],
    "SmsSubtaskSlow": [
        replace(HEALTHY, state=state, more=[subtask("start", seconds_ago(1801), "CREATE_CLOUD_SERVER")])
        for state in ("initialize", "syncing", "stopping", "cloning", "cutovering")
    ],
    "SmsSourceOverloaded": [replace(HEALTHY, state="syncing", more=cpu(1, 0.5))],
}
"""For each alert, further servers that must raise it."""


def on_servers(*alerts: str) -> set[str]:
    """Return the alerts, each on the server that has its name."""
    return {f"{alert}/{alert}" for alert in alerts}


ALL: Final = on_servers(*PROBLEMS)
SERVERS: Final[Servers] = [
    *PROBLEMS.items(),
    ("healthy", replace(HEALTHY, more=cpu(0.95, 0.1))),
    *((f"waiting-{number}", Server(state="waiting")) for number in range(4)),
]


def during(servers: Servers, listed: object) -> Servers:
    """Return the servers, in the list at these times."""
    return [(server_id, replace(server, listed=listed)) for server_id, server in servers]  # type: ignore[arg-type]


def groups() -> Iterator[Group]:
    """Return all test groups."""
    yield group("each problem raises its alert after its time", [Exporter(SERVERS)], TIMING)
    yield _near_misses()
    yield combined("other servers with the same problems", dict(_further_problems()))
    yield combined("servers that change", dict(_changes()))
    yield combined("outages and restarts", dict(_outages()))
    yield _projects()
    yield combined("outages over a weekend", dict(_weekends()))
    yield combined("several exporters of an account", dict(_several_exporters()))
    yield _replicas()
    yield combined("exporters of different servers that use one account name", dict(_shared_names()))
    yield combined("replicas whose lists differ between two polls", dict(_differing_replicas()))
    yield combined("accounts that disappear", dict(_accounts()))
    yield combined("lists that shrink", dict(_lists()))
    yield combined("limits of an account", dict(_limits()))
    yield combined("servers that finished a week ago", dict(_finished()))
    yield combined("deadlines", dict(_deadlines()))
    yield combined("durations of alerts", dict(_durations()))
    yield _records()
    yield combined("incomplete lists", dict(_incomplete()))
    for metric in ("unknown_values_total", "unreadable_values_total"):
        unknown = {58: set[str](), 64: {"SmsDataIncomplete@"}}
        growing = group(f"{metric} keeps growing", [_counting(metric, always_growing)], unknown)
        of_field = {"expr": 'group by (field) (ALERTS{alertname="SmsDataIncomplete"})', "eval_time": "64m"}
        growing["promql_expr_test"].append({**of_field, "exp_samples": [{"labels": '{field="state"}', "value": 1}]})
        yield growing
        yield group(f"{metric} grew once", [_counting(metric, grown_once)], {64: set()})


Parts = Iterator[tuple[str, Group]]

FAST: Final = on_servers("SmsServerStalled", "SmsServerFailed", "SmsLaunchStuck", "SmsCloneStuck")
MEDIUM: Final = FAST | on_servers("SmsServerDisconnected", "SmsTaskFailed", "SmsServerNotStarted", "SmsSubtaskSlow")
SLOW: Final = MEDIUM | on_servers("SmsCheckFailed")
TIMING: Final[Mapping[int, set[str]]] = {
    0: set(),
    1: on_servers("SmsServerStalled"),
    2: FAST,
    4: FAST,
    5: MEDIUM,
    9: MEDIUM,
    10: SLOW,
    14: SLOW,
    16: ALL,
}
"""When each alert begins to fire for a problem that exists from minute 0."""
DOWN: Final = {"SmsPollFailing", "SmsDataStale"}
ABSENT: Final = {"SmsExporterAbsent"}


def _near_misses() -> Group:
    """Return a group with one exporter of several accounts, whose servers have the IDs of those of account `a`."""
    exporters = [Exporter(SERVERS)]
    deadlines = []
    for number in range(max(map(len, NEAR_MISSES.values()))):
        account = f"near-{number}"
        servers = [(alert, misses[number]) for alert, misses in NEAR_MISSES.items() if number < len(misses)]
        exporters.append(Exporter(servers, account=account))
        deadline = (
            f'sms:migration_deadline_timestamp_seconds{{account="{account}", enterprise_project_id="{DEADLINE}"}}'
        )
        deadlines.append({"series": deadline, "values": "-60x71"})
    case = group("near misses", exporters, {70: set()}, series=deadlines)
    case["promql_expr_test"] = [
        {
            "expr": f'group by (account) (ALERTS{{alertname="{alert}", server_id="{alert}", alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": '{account="a"}', "value": 1}],
        }
        for minute in (58, 70)
        for alert in PROBLEMS
    ]
    return case


def _further_problems() -> Parts:
    for alert, servers in FURTHER.items():
        yield alert, group("", [_numbered(servers)], {75: {f"{alert}/{n}" for n in range(len(servers))}}, among=alert)


def _numbered(servers: Sequence[Server]) -> Exporter:
    return Exporter([(str(number), server) for number, server in enumerate(servers)])


def _changes() -> Parts:
    healed = [*during(SERVERS, until(30)), *((name, replace(HEALTHY, listed=since(30))) for name, _ in SERVERS)]
    late = on_servers("SmsServerLate")
    end = {30: ALL, 34: ALL, 36: late, 44: late, 46: set[str]()}
    incomplete = _incomplete_account()
    complete = [*_dropped(0), ("collector_up", 'collector="task_details"', lambda _: 1.0)]
    yield "problems-end", group("", [Exporter(healed, more=complete), incomplete], end, among=ON_SERVERS)
    launch = Server(state="cutovering", changed=None)
    again = [
        ("launch", replace(launch, listed=until(20))),
        ("launch", replace(launch, state="error", listed=lambda minute: 20 <= minute < 30)),
        ("launch", replace(launch, listed=since(30))),
        ("clone", replace(HEALTHY, clone="CREATING", listed=until(80))),
        ("clone", replace(HEALTHY, listed=since(80))),
        ("healthy", HEALTHY),
    ]
    stuck = {79: {"SmsCloneStuck/clone"}, 88: set[str](), 94: {"SmsLaunchStuck/launch"}}
    among = "Sms(Launch|Clone)Stuck|SmsServerStalled"
    yield "launch-and-clone-end", group("", [Exporter(again), incomplete], stuck, among=among)
    renamed = [(name, replace(server, name="new", listed=since(30))) for name, server in SERVERS]
    kept = dict.fromkeys((29, 30, 31, 33, 50), ALL)
    yield "names-change", group("", [Exporter([*during(SERVERS, until(30)), *renamed])], kept)
    states = [
        ("SmsServerFailed", Server(state="error", listed=until(30))),
        ("SmsServerFailed", Server(state="clearfailed", listed=since(30))),
    ]
    failed = dict.fromkeys((29, 30, 31, 50), on_servers("SmsServerFailed"))
    yield "state-of-a-failed-server-changes", group("", [Exporter(states)], failed)


def _incomplete_account() -> Exporter:
    """Return an exporter of account `b` with an old list and collectors that fail, which affects no other account."""
    failing = ("collector_up", 'collector="task_details"', lambda _: 0.0)
    return Exporter(account="b", polls_succeed=until(1), more=[*_dropped(1), failing])


def _dropped(series: float) -> Iterator[tuple[str, str, Value]]:
    """Return the number of dropped series of each collector that alerts read."""
    for name in ("servers", "tasks", "checks", "task_details"):
        yield "exporter_series_dropped", f'collector="{name}"', lambda _: series


def _outages() -> Parts:
    fails = except_between(30, 70)
    times = {29: ALL, 35: ALL, 37: ALL | {"SmsPollFailing"}, 40: ALL | DOWN, 69: ALL | DOWN, 70: ALL, 71: ALL, 90: ALL}
    yield "api-is-down", group("", [Exporter(SERVERS, polls_succeed=fails)], times)
    changed = [
        *during(SERVERS, until(50)),
        *((name, replace(HEALTHY, listed=since(50))) for name, _ in SERVERS),
        ("new", Server(state="error", listed=since(50))),
    ]
    new = {"SmsServerFailed/new"}
    alerts = {69: ALL | DOWN, 70: ALL, 73: ALL | new, 86: new}
    yield "problems-change-meanwhile", group("", [Exporter(changed, polls_succeed=fails)], alerts)
    old = Exporter(SERVERS, is_target=until(30), is_running=until(30))
    new_pod = Exporter(SERVERS, is_target=since(32), is_running=since(32), instance="new", started=1900)
    kept = dict.fromkeys((29, 30, 31, 32, 33, 35, 60, 90), ALL)
    yield "exporter-restarts", group("", [old, new_pod], kept)
    forgetful = [
        (name, replace(server, increased=_forgotten) if server is STALLED else server) for name, server in SERVERS
    ]
    again = [replace(old, servers=forgetful), replace(new_pod, servers=forgetful)]
    yield "exporter-forgets-a-stall", group("", again, kept)
    absent = {30: ALL, 34: ALL, 69: ALL | ABSENT, 70: ALL, 71: ALL, 90: ALL}
    yield "exporter-is-down", group("", [Exporter(SERVERS, is_running=fails)], absent)
    for number in (3, 5):
        shaky = Exporter(SERVERS, polls_succeed=_one_of(number))
        alerts = {59: ALL | DOWN, 61: ALL, 64: ALL, 90: ALL}
        among = f"{ON_SERVERS}|{'|'.join(DOWN)}"
        yield f"one-poll-of-{number}-succeeds-afterwards", group("", [shaky], alerts, among=among)


def _one_of(number: int) -> When:
    """Return a function for polls that succeed until minute 30, fail until 60, and then succeed once in `number`."""
    return lambda minute: minute < 30 or (minute >= 60 and minute % number == 0)


def _forgotten(minute: int) -> float:
    """Return the time of the last increase of an exporter that restarted in minute 32."""
    return 32 * 60 if minute >= 32 else -7200


def _projects() -> Group:
    """Return a group in which all servers are in an enterprise project, which their alerts keep in an outage."""
    servers = [(name, replace(server, project=DEADLINE)) for name, server in PROBLEMS.items()]
    exporter = Exporter(servers, polls_succeed=except_between(30, 70))
    case = group("enterprise projects of alerts", [exporter], {90: set()})
    query = f'group by (alertname, enterprise_project_id) (ALERTS{{alertname=~"{ON_SERVERS}", alertstate="firing"}})'
    samples = [
        {"labels": f'{{alertname="{alert}", enterprise_project_id="{DEADLINE}"}}', "value": 1} for alert in PROBLEMS
    ]
    case["promql_expr_test"] = [
        {"expr": query, "eval_time": f"{minute}m", "exp_samples": samples} for minute in (29, 60, 90)
    ]
    return case


def _weekends() -> Parts:
    servers = [*PROBLEMS.items(), ("healthy", HEALTHY)]
    down = except_between(HOUR, 2 * DAY)
    yield "api-is-down", group("", [Exporter(servers, polls_succeed=down)], _throughout(ALL, DOWN), step=STEP)
    # That every alert on servers is held without an exporter is tested in shorter outages, which take less time.
    few = [(name, PROBLEMS[name]) for name in ("SmsServerFailed", "SmsServerStalled", "SmsTaskFailed")]
    held = _throughout(on_servers(*dict(few)), ABSENT)
    yield "exporter-is-down", group("", [Exporter(few, is_running=down)], held, step=STEP)


def _throughout(on_servers: set[str], on_outage: set[str]) -> Mapping[int, set[str]]:
    """Return the alerts before, during and after an outage of two days."""
    lasting = dict.fromkeys((2 * HOUR, DAY, 2 * DAY - STEP), on_servers | on_outage)
    return {HOUR - STEP: on_servers, **lasting, 2 * DAY: on_servers, 2 * DAY + HOUR: on_servers}


def _dropped_tasks() -> Group:
    """Return a group in which the series limit drops the tasks from minute 90: alerts that need them are held."""
    late = replace(HEALTHY, project=DEADLINE, size=0, remaining=10**6)
    before = [("SmsServerLate", late), ("SmsTaskFailed", PROBLEMS["SmsTaskFailed"])]
    before.append(("SmsCloneStuck", replace(HEALTHY, clone="CREATING")))
    after = [("SmsServerLate", replace(late, remaining=None)), ("SmsTaskFailed", HEALTHY), ("SmsCloneStuck", HEALTHY)]
    dropped = ("exporter_series_dropped", 'collector="tasks"', since(90))
    others = [("measured", replace(HEALTHY, project=DEADLINE)), ("cloning", Server(state="cloning"))]
    exporter = Exporter([*during(before, until(90)), *during(after, since(90)), *others], more=[dropped])
    alerts = on_servers("SmsServerLate", "SmsTaskFailed", "SmsCloneStuck")
    alerts |= {"SmsServerLate/measured", "SmsCloneStuck/cloning"}
    return group("", [exporter], {89: alerts, 120: alerts}, among=ON_SERVERS)


def _several_exporters() -> Parts:
    named = [(name, replace(server, name="other")) for name, server in SERVERS]
    yield "tasks-are-dropped", _dropped_tasks()
    pair = [Exporter(SERVERS, is_running=until(30)), Exporter(named, instance="y")]
    yield "one-goes-down", group("", pair, dict.fromkeys((29, 30, 31, 35, 50), ALL))
    cloned, cloning = (Exporter([("1", replace(HEALTHY, clone=clone))]) for clone in ("FINISHED", "CREATING"))
    yield "old-list-has-a-clone", group("", [cloned, *outdated(cloning)], {90: set()}, among="SmsCloneStuck")
    failing = [Exporter(polls_succeed=until(10)), Exporter(instance="y", polls_succeed=until(30))]
    yield "both-fail", group("", failing, {36: set(), 40: {"SmsPollFailing"}}, among="SmsPollFailing")
    rarely = Exporter(instance="y", polls_succeed=until(10), poll_interval=10)
    slow = [Exporter(polls_succeed=until(10)), rarely]
    yield "both-fail-one-rarely", group("", slow, {34: set(), 36: {"SmsPollFailing"}}, among="SmsPollFailing")
    stalled = Exporter([("1", replace(STALLED, increased=lambda _: 0))])
    old = Exporter(instance="y", polls_succeed=until(3), served_polls=1000, poll_interval=20)
    late_stall = {61: set[str](), 62: {"SmsServerStalled/1"}}
    yield "one-polls-rarely", group("", [stalled, old], late_stall, among="SmsServerStalled")
    failed = on_servers("SmsServerFailed")
    working = Exporter([("SmsServerFailed", PROBLEMS["SmsServerFailed"])])
    outdated_replica = Exporter([("1", HEALTHY)], instance="y", polls_succeed=until(3), served_polls=1000)
    for ahead in (2, 20):
        pair = [working, replace(outdated_replica, clock_ahead=ahead)]
        times = dict.fromkeys((5, 15, 21, 22, 30), failed)
        yield f"clock-{ahead}-minutes-ahead", group("", pair, times, among=ON_SERVERS)
    lone = replace(outdated_replica, clock_ahead=60)
    alerts = {9: DOWN, 40: DOWN}
    yield "one-with-its-clock-ahead", group("", [lone], alerts, among="SmsPollFailing|SmsDataStale")
    others = [Exporter(SERVERS, is_running=until(30)), Exporter(account="b", instance="y")]
    yield "one-of-each", group("", others, {29: ALL, 50: ALL | ABSENT})


def _replicas() -> Group:
    never = [Exporter(), Exporter(instance="y", is_running=lambda _: False)]
    failing = [Exporter(), Exporter(instance="y", polls_succeed=until(10))]
    single = [Exporter(), Exporter(instance="y", polls_succeed=lambda minute: minute % 2 == 0)]
    alone = [
        Exporter(instance="y", is_running=until(10)),
        Exporter(account="b"),
        Exporter(account="b", instance="z", is_running=lambda _: False),
    ]
    returns = [Exporter(), Exporter(instance="y", is_running=since(20))]
    ahead = [Exporter(), Exporter(instance="y", polls_succeed=until(10), clock_ahead=24 * HOUR)]
    stops = [Exporter(), Exporter(instance="y", is_running=until(10))]
    pairs = {
        "returns": returns,
        "never-scraped": never,
        "polls-fail": failing,
        "polls-fail-with-a-clock-ahead": ahead,
        "stops": stops,
        "stops-in-a-shared-job": stops,
        "targets-of-sd": [Exporter(instance="y/a", is_running=until(10)), Exporter(instance="x/a")],
        "single-polls-fail": single,
        "another-account": alone,
        "other-account-fails": [Exporter(polls_succeed=until(10)), Exporter(account="b")],
    }
    foreign = {"series": 'up{job="unrelated", instance="y"}', "values": "0x60"}
    parts = {key: group("", pair, {180: set()}, series=[foreign]) for key, pair in pairs.items()}
    both = combined("replicas", parts)
    text_file = ('up{job="text-file", instance="x"}', 'huaweicloud_sms_up{account="t", job="text-file", instance="x"}')
    own = 'huaweicloud_sms_exporter_build_info{job="text-file", instance="x"}'
    both["input_series"] += [{"series": each, "values": "1x180"} for each in (*text_file, own)]
    # Targets that were never exporters: another host with such files, and other programs in a job with exporters.
    others = [("text-file", "y", 0), ("stops-in-a-shared-job", "z", 1), ("stops-in-a-shared-job", "w", 0)]
    both["input_series"] += [
        {"series": f'up{{job="{job}", instance="{instance}"}}', "values": f"{up}x180"} for job, instance, up in others
    ]
    # A target of /sd for the exporter itself, which is no other program.
    for name in ("up", "huaweicloud_sms_exporter_build_info", "python_info"):
        both["input_series"].append({"series": f'{name}{{job="sd", instance="x"}}', "values": "1x180"})
    both["input_series"] += [
        {"series": 'up{job="sd", instance="x/a"}', "values": "1x180"},
        {"series": 'huaweicloud_sms_up{job="sd", instance="x/a", account="sd"}', "values": "1x180"},
        {"series": 'up{job="sd", instance="y/a"}', "values": "0x180"},
    ]
    query = 'group by (job, instance) (ALERTS{alertname="SmsReplicaDown", alertstate="firing"})'
    always_down = {("never-scraped", "y"), ("another-account", "z"), ("sd", "y/a")}
    returning = always_down | {("returns", "y")}
    stopped = {("stops", "y"), ("stops-in-a-shared-job", "y"), ("targets-of-sd", "y/a")}
    failed = always_down | stopped | {("polls-fail", "y"), ("polls-fail-with-a-clock-ahead", "y")}
    expected = {9: set[tuple[str, str]](), 10: returning, 19: returning, 24: failed, 60: failed, 180: failed}
    both["promql_expr_test"] = [
        {
            "expr": query,
            "eval_time": f"{minute}m",
            "exp_samples": [
                {"labels": f'{{job="{job}", instance="{instance}"}}', "value": 1} for job, instance in sorted(replicas)
            ],
        }
        for minute, replicas in expected.items()
    ]
    return both


def _waiting(name: str, count: int, listed: When = always) -> Servers:
    return [(f"{name}-{number}", Server(state="waiting", listed=listed)) for number in range(count)]


def _polled_every(minutes: int, exporter: Exporter) -> Exporter:
    """Return an exporter that polls every few minutes."""
    return replace(exporter, polls_succeed=lambda minute: minute % minutes == 0, served_polls=3 * minutes)


def _shared_names() -> Parts:
    shared = {"SmsAccountNameShared"}
    begins = {34: set[str](), 35: shared, 95: shared}
    first, second = _waiting("first", 2), _waiting("second", 2)
    one = Exporter(first)
    other = Exporter(second, instance="y")
    for key, exporters, expected in (
        ("two-accounts", [one, other], begins),
        ("two-accounts-in-two-jobs", [one, replace(other, instance="x", job="other")], begins),
        ("two-filters", [Exporter([*first, *second[:1]]), Exporter([*first[:1], *second], instance="y")], begins),
        ("a-filter-of-one", [one, Exporter(first[:1], instance="y")], begins),
        ("an-empty-list", [one, Exporter(instance="y")], begins),
        ("rare-polls", [one, _polled_every(20, other)], begins),
        ("an-empty-list-and-rare-polls", [one, _polled_every(20, Exporter(instance="y"))], begins),
        ("renamed", [one, replace(other, is_configured=until(50))], {49: shared, 52: shared, 53: set()}),
        (
            "polls-fail",
            [one, Exporter(second[:1], instance="y", polls_succeed=until(11), served_polls=1000)],
            {35: shared, 42: shared, 43: set()},
        ),
    ):
        yield key, group("", exporters, expected, among="SmsAccountNameShared")


def _differing_replicas() -> Parts:
    never = {minute: set[str]() for minute in (35, 45, 55, 65, 75, 95)}
    servers = _waiting("kept", 3)
    deleted, created = _waiting("deleted", 1, until(41)), _waiting("created", 1, since(41))
    churn = [
        (f"{number}", Server(state="waiting", listed=lambda minute, first=number * 2: first <= minute < first + 40))  # type: ignore[misc]
        for number in range(-20, 50)
    ]
    outdated_list = [*servers, *_waiting("deleted", 1, until(4)), *_waiting("created", 2, since(4))]
    twice = [Exporter(), Exporter(instance="y")]
    gone = Exporter([*servers, *_waiting("created", 1)], is_target=since(5), is_running=except_between(35, 100))
    of_another = Exporter(_waiting("created", 1), account="b")
    for key, exporters in (
        ("the-same-list", [replace(each, servers=servers) for each in twice]),
        ("no-servers", twice),
        (
            "servers-come-and-go",
            [_polled_every(4, Exporter(churn)), _polled_every(3, Exporter(churn, instance="y"))],
        ),
        (
            "polls-are-rare",
            [
                Exporter([*servers, *deleted]),
                _polled_every(20, Exporter([*servers, *deleted], instance="y")),
            ],
        ),
        ("emptied", [Exporter(deleted), _polled_every(20, Exporter(deleted, instance="y"))]),
        (
            "created-with-the-id-of-another",
            [
                of_another,
                replace(gone, instance="z"),
                replace(gone, job="other"),
                Exporter([*servers, *created]),
                _polled_every(20, Exporter([*servers, *created], instance="y")),
            ],
        ),
        (
            "old-lists",
            [
                Exporter(outdated_list),
                *outdated(Exporter(outdated_list)),
                Exporter(account="b", instance="y"),
                Exporter(account="b", job="other"),
            ],
        ),
        (
            "some-collectors-are-scraped",
            [Exporter(servers), Exporter(instance="y", more=[("snapshot_source_servers", "", lambda _: 3)])],
        ),
    ):
        yield key, group("", exporters, never, among="SmsAccountNameShared")


def _accounts() -> Parts:
    other = Exporter(account="b", servers=[("b", HEALTHY)], instance="2")
    names = {"SmsServerFailed", "SmsServerLate"}
    servers = [each for each in SERVERS if each[0] in names]
    alerts = on_servers(*names)
    ends = {29: alerts, 34: alerts, 46: set[str](), 80: set[str]()}
    stays = {29: alerts, 46: alerts | ABSENT, 80: alerts | ABSENT}
    reloaded = [Exporter(servers, is_configured=until(30)), replace(other, instance="x")]
    never = Exporter(instance="3", is_running=lambda _: False)
    unrelated = {"series": 'up{job="unrelated", instance="x"}', "values": "0x80"}
    yield "removed-by-a-reload", group("", [*reloaded, never], ends, series=[unrelated])
    gone = Exporter(servers, is_target=until(30), is_running=until(30))
    program = [
        {"series": 'process_start_time_seconds{job="sms", instance="x", program="other"}', "values": "0x80"},
        {"series": 'huaweicloud_sms_exporter_build_info{job="unrelated", instance="x"}', "values": "1x80"},
    ]
    yield "another-program-at-its-address", group("", [gone, other], stays, series=program)
    service = ', namespace="n", service="sms"'
    pod = Exporter(servers, is_target=until(30), is_running=until(30), instance="1", labels=service)
    new = replace(other, is_target=since(25), is_running=since(25), labels=service, started=25 * 60)
    yield "removed-with-a-new-pod", group("", [pod, new], ends)
    older = replace(other, labels=service, instance="3")
    yield "removed-with-a-new-pod-beside-an-older-one", group("", [pod, new, older], ends)
    for start, expected in ((22, ends), (19, stays)):
        earlier = replace(new, is_target=since(start), is_running=since(start), started=start * 60)
        yield f"pod-{30 - start}-minutes-after-the-new-one", group("", [pod, earlier], expected)
    yield "pod-beside-an-older-one", group("", [pod, replace(other, labels=service)], stays)
    for key, foreign in (
        ("service", replace(new, labels=', namespace="n", service="other"')),
        ("namespace", replace(new, labels=', namespace="other", service="sms"')),
        ("job", replace(new, job="other")),
    ):
        yield f"pod-while-one-of-another-{key}-starts", group("", [pod, foreign], stays)
    target = Exporter(servers, instance="host:1/a", is_target=until(30), is_running=until(30))
    itself = replace(other, instance="host:1")
    yield "target-removed", group("", [target, itself], ends)
    yield "target-in-another-job", group("", [target, replace(itself, job="another")], stays)
    yield "target-not-scraped", group("", [replace(target, is_target=lambda _: True), itself], stays)
    for key, labels, foreign_labels, expected in (
        ("site", ', site="1"', ', site="2"', stays),
        ("cluster", f'{service}, cluster="1"', f'{service}, cluster="2"', stays),
        ("shard", f'{service}, shard="1"', f'{service}, shard="2"', stays),
        ("pod", f'{service}, pod="1", node="1"', f'{service}, pod="2", node="2"', ends),
    ):
        lost = replace(pod, instance="1", labels=labels)
        foreign = replace(new, labels=foreign_labels)
        # An exporter with the same address exists all the time, unless it is a new pod.
        same = () if key == "pod" else (replace(other, instance="1", labels=foreign_labels),)
        yield f"lost-while-another-{key}-runs", group("", [lost, foreign, *same], expected)
    shard = replace(pod, is_target=always)
    yield "pod-that-does-not-start-again", group("", [shard, new], stays)
    for key, down in (("service", ', namespace="n", service="other"'), ("namespace", ', namespace="m", service="sms"')):
        elsewhere = {"series": f'up{{job="sms", instance="9"{down}}}', "values": "0x80"}
        yield f"removed-while-another-{key}-is-down", group("", [pod, new], ends, series=[elsewhere])
    elsewhere = {"series": f'up{{job="unrelated", instance="9"{service}}}', "values": "0x80"}
    yield "removed-while-another-job-is-down", group("", [pod, new], ends, series=[elsewhere])
    known = 'exporter:huaweicloud_sms_account_last_seen_timestamp_seconds{account="a", job="sms", instance="gone"}'
    almost = {"series": known, "values": str(10 * 60 - 30 * DAY * 60)}
    yield "absent-for-30-days", group("", [other], {9: ABSENT, 10: set()}, series=[almost])


def _lists() -> Parts:
    shrunk = {"SmsListShrunk"}
    times = {29: ALL, 31: ALL, 34: ALL | shrunk, 46: shrunk, 88: shrunk, 92: set[str]()}
    yield "emptied", group("", [Exporter(during(SERVERS, until(30)))], times)
    glitch = Exporter(during(SERVERS, except_between(30, 32)))
    yield "empty-for-two-polls", group("", [glitch], dict.fromkeys((29, 30, 31, 32, 33, 40), ALL))
    held = Exporter(during(SERVERS, until(30)), polls_succeed=until(40))
    yield "emptied-before-an-outage", group("", [held], dict.fromkeys((60, 130), shrunk), among="SmsListShrunk")
    for count, left, alert in ((10, 4, True), (10, 5, False), (9, 4, False), (9, 0, True), (1, 0, True)):
        kept = [(f"kept-{number}", Server(state="waiting")) for number in range(left)]
        leaving = [(f"gone-{number}", Server(state="waiting", listed=until(30))) for number in range(count - left)]
        expected = shrunk if alert else set[str]()
        yield f"from-{count}-to-{left}", group("", [Exporter([*kept, *leaving])], {29: set(), 40: expected})


def _limits() -> Parts:
    counts = [("snapshot_source_servers", "", 899, False), ("snapshot_source_servers", "", 900, True)]
    counts += [("source_servers", f'state="{state}"', 90, True) for state in RUNNING]
    counts += [("source_servers", 'state="replicate"', 89, False), ("source_servers", 'state="waiting"', 500, False)]
    for number, (metric, labels, count, alert) in enumerate(counts):
        exporter = Exporter(more=[(metric, labels, lambda _, count=count: count)])  # type: ignore[misc]
        times = {14: set[str](), 20: {"SmsAccountNearLimit"} if alert else set[str]()}
        yield f"account-{number}", group("", [exporter], times, among="SmsAccountNearLimit")

    halves: list[tuple[str, str, Value]] = [
        ("source_servers", f'state="{state}"', lambda _: 45) for state in ("replicate", "syncing")
    ]
    near = {"SmsAccountNearLimit", "SmsAccountNearLimit@b"}
    exporters = [Exporter(more=halves, polls_succeed=until(30)), Exporter(account="b", more=halves)]
    yield "two-states", group("", exporters, {20: near, 90: near}, among="SmsAccountNearLimit")


RUNNING: Final = ("initialize", "replicate", "syncing", "stopping", "cloning", "cutovering")


def _finished() -> Parts:
    week = 7 * DAY * 60
    expected = {56: set[str](), 64: {"SmsSnapshotsNotCleared"}}
    for state, changed, alerts in (
        ("finished", -week - 3600, expected),
        ("finished", -week, {60: set[str](), 64: {"SmsSnapshotsNotCleared"}}),
        ("finished", -week + 4 * 3600, {64: set[str]()}),
        ("cleared", -week - 3600, {64: set[str]()}),
    ):
        server = ("1", Server(state=state, changed=changed))
        yield f"{state}{changed}", group("", [Exporter([server])], alerts, step=STEP)
    recent = [("1", Server(state="finished")), ("2", Server(state="waiting", changed=-week - 3600))]
    yield "recent", group("", [Exporter(recent)], {64: set()}, among="SmsSnapshots.+", step=STEP)
    old = ("1", Server(state="finished", changed=-week - 3600))
    failing = Exporter([old], polls_succeed=until(2 * HOUR))
    dropped = ("exporter_series_dropped", 'collector="servers"', since(2 * HOUR))
    without_servers = Exporter(during([old], until(2 * HOUR)), more=[dropped])
    firing = {"SmsSnapshotsNotCleared"}
    for key, exporter in (("outage", failing), ("dropped", without_servers)):
        yield key, group("", [exporter], {2 * HOUR: firing, 4 * HOUR: firing}, among="SmsSnapshots.+", step=STEP)


def _deadlines() -> Parts:
    """Return groups with deadlines of accounts and projects; of two deadlines, the earlier counts."""
    deadline = "sms:migration_deadline_timestamp_seconds"
    passed = {"series": f'{deadline}{{account="a"}}', "values": "-60x60"}
    later = {"series": f'{deadline}{{account="a", reason="later"}}', "values": "9000000000x60"}
    of_project = {"series": f'{deadline}{{account="a", enterprise_project_id="later"}}', "values": "9000000000x60"}
    states = ("unavailable", "waiting", "initialize", "premigready", "stopped")
    waiting = [(state, Server(state=state)) for state in states]
    moving = [(state, replace(HEALTHY, state=state)) for state in ("replicate", "syncing")]
    servers = [*waiting, *moving, ("finished", Server(state="finished"))]
    missed = {f"SmsServerNotStarted/{state}" for state in states}
    late = {f"SmsServerLate/{state}" for state in ("replicate", "syncing")}
    among = "SmsServer(Late|NotStarted)"
    both = group("", [Exporter(servers)], {4: set(), 5: missed, 60: missed | late}, among=among, series=[passed, later])
    yield "of-an-account", both
    of_one = f'{deadline}{{account="a", enterprise_project_id="later", reason="earlier"}}'
    earlier = {"series": of_one, "values": "-60x60"}
    waits = Exporter([("waits", Server(state="waiting", project="later"))])
    due = {20: {"SmsServerNotStarted/waits"}}
    yield "two-of-a-project", group("", [waits], due, among=among, series=[of_project, earlier])
    excepted = [(name, replace(server, project="later")) for name, server in servers]
    yield "of-a-project", group("", [Exporter(excepted)], {60: set()}, among=among, series=[passed, of_project])


def _records() -> Group:
    """Return a group that compares records which only dashboards read."""
    servers = [
        (
            "1",
            Server(
                name="one",
                facts=', ip="10.0.0.1", os_type="LINUX"',
                replicated=lambda minute: 60 * minute,
                size=3605,
                remaining=99,
            ),
        ),
        ("2", Server(state="syncing", name="two", remaining=50)),
        ("3", Server(state="stopped", name="three", remaining=40)),
        ("4", Server(state="replicate", name="four", replicated=lambda minute: 60 * minute, size=5)),
    ]
    prefix = "huaweicloud_sms_"
    old = [(server_id, replace(server, remaining=500, name="old")) for server_id, server in servers]
    records = group("records for dashboards", [Exporter(servers), *outdated(Exporter(old))], {60: set()})
    info = f"server:{prefix}state:freshest"
    first = 'name="one", state="replicate", ip="10.0.0.1", os_type="LINUX"'
    expected: dict[str, dict[str, float]] = {
        info: {
            f'{info}{{account="a", server_id="1", {first}}}': 1,
            f'{info}{{account="a", server_id="2", name="two", state="syncing"}}': 1,
            f'{info}{{account="a", server_id="3", name="three", state="stopped"}}': 1,
            f'{info}{{account="a", server_id="4", name="four", state="replicate"}}': 1,
        },
        f"server:{prefix}remaining_seconds:estimated": {
            f'server:{prefix}remaining_seconds:estimated{{account="a", server_id="{server_id}", {facts}}}': seconds
            for server_id, facts, seconds in (
                ("1", first, 99),
                ("2", 'name="two", state="syncing"', 50),
            )
        },
        f"server:{prefix}remaining_seconds:measured < Inf": {
            f'server:{prefix}remaining_seconds:measured{{account="a", server_id="1", {first}}}': 5,
        },
        f"account:{prefix}replicated_bytes:deriv30m": {f'account:{prefix}replicated_bytes:deriv30m{{account="a"}}': 2},
        f"account:{prefix}source_servers:freshest": {f'account:{prefix}source_servers:freshest{{account="a"}}': 4},
    }
    records["promql_expr_test"] = [
        {
            "expr": query,
            "eval_time": "60m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for query, samples in expected.items()
    ]
    return records


def _durations() -> Parts:
    """Return groups in which a problem ends in minute 30, with the minutes before and after each change."""
    for alert, metric, labels, bad, good, wait, keep in (
        ("SmsClockSkew", "exporter_api_clock_skew_seconds", "", 61, 60, 10, 3),
        ("SmsClockSkew", "exporter_api_clock_skew_seconds", "", -61, -60, 10, 3),
        ("SmsSeriesDropped", "exporter_series_dropped", 'collector="disks"', 1, 0, 10, 3),
        ("SmsAccountNearLimit", "source_servers", 'state="syncing"', 90, 89, 15, 15),
    ):
        exporter = Exporter(more=[(metric, labels, _until_minute_30(bad, good))])
        firing = {alert}
        times = {wait - 1: set[str](), wait: firing, 29 + keep: firing, 31 + keep: set[str]()}
        yield f"{alert}{bad}", group("", [exporter], times, among=alert)
    dropped = ("exporter_series_dropped", 'collector="disks"')
    two = [Exporter(more=[(*dropped, lambda _: 1)]), Exporter(instance="y", more=[(*dropped, lambda _: 0)])]
    yield "dropped-in-one-of-two", group("", two, {20: {"SmsSeriesDropped"}}, among="SmsSeriesDropped")
    renewal = "exporter_credentials_renewal_timestamp_seconds"
    overdue = [
        Exporter(more=[(renewal, "", lambda _: 600)]),
        Exporter(instance="y", poll_interval=10, more=[(renewal, "", lambda _: 3000)]),
    ]
    times = {26: set[str](), 27: {"SmsCredentialsExpiring"}}
    yield "overdue-in-one-of-two", group("", overdue, times, among="SmsCredentialsExpiring")
    for key, throttled, answered, last, alerts in (
        ("throttled-until-30", 3, 17, 30, {9: set(), 13: {"SmsThrottled"}, 57: {"SmsThrottled"}, 63: set()}),
        ("rarely-throttled", 3, 47, 30, {29: set(), 63: set()}),
        # With these numbers, the ratio of a complete hour is exactly the threshold.
        ("throttled-a-tenth", 60, 540, 90, {29: set(), 89: set()}),
    ):
        more: list[tuple[str, str, Value]] = [
            ("exporter_api_requests_total", 'api="sms", code="429"', _counted(throttled, last)),
            ("exporter_api_requests_total", 'api="sms", code="200"', _counted(answered, 1000)),
        ]
        yield key, group("", [Exporter(more=more), Exporter(instance="y", more=more)], alerts, among="SmsThrottled")
    outages = [except_between(start, start + 12) for start in (30, 50, 70)]
    flapping = Exporter(polls_succeed=lambda minute: all(succeeds(minute) for succeeds in outages))
    times = {
        66: set[str](),
        68: {"SmsDataFlapping"},
        112: {"SmsDataFlapping"},
        115: {"SmsDataFlapping"},
        118: set[str](),
    }
    short = [except_between(start, start + 5) for start in (30, 45, 60)]
    brief = Exporter(polls_succeed=lambda minute: all(succeeds(minute) for succeeds in short))
    lasting = Exporter(polls_succeed=lambda minute: minute < 30 or 42 <= minute < 50)
    yield "second-outage-lasts", group("", [lasting], {80: set()}, among="SmsDataFlapping")
    yield "flapping-briefly", group("", [brief], {80: set()}, among="SmsDataFlapping")
    yield "flapping", group("", [flapping], times, among="SmsDataFlapping")


def _counted(rate: int, last: int) -> Value:
    """Return a counter that increases by `rate` per minute until the minute `last`."""
    return lambda minute: rate * min(minute, last)


def _until_minute_30(before: float, after: float) -> Value:
    return lambda minute: before if minute < 30 else after


def _incomplete() -> Parts:
    differs, differed = (
        Exporter(SERVERS, missing=lambda minute: minute < 70),
        Exporter(SERVERS, missing=lambda minute: minute < 50),
    )
    skips, skipped = (_counting("skipped_records_total", growth) for growth in (always_growing, grown_once))
    for key, exporter, incomplete in (
        ("count-differs", differs, True),
        ("count-differed", differed, False),
        ("records-are-skipped", skips, True),
        ("record-was-skipped", skipped, False),
    ):
        times = {59: set[str](), 64: {"SmsDataIncomplete"} if incomplete else set[str]()}
        if exporter is differs:
            times |= {60: {"SmsDataIncomplete"}, 84: {"SmsDataIncomplete"}, 86: set()}
        yield key, group("", [exporter], times, among="SmsDataIncomplete")

    old = outdated(Exporter(missing=lambda _: 1))
    yield "count-differs-in-an-old-list", group("", [Exporter(), *old], {64: set()}, among="SmsDataIncomplete")


def always_growing(minute: int) -> float:
    """Return a counter that increases every 20 minutes."""
    return (minute + 19) // 20


def grown_once(minute: int) -> float:
    """Return a counter that increased in minute 10."""
    return minute > 10


def _counting(metric: str, value: Value) -> Exporter:
    labels = 'reason="invalid"' if metric.startswith("skipped") else 'field="state"'
    return Exporter(more=[(f"exporter_{metric}", labels, value)])
