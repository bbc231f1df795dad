"""The scenarios that alerts are tested with: outages, restarts, replicas, renamed servers, changed lists.

In most of them an account has a server for each alert on servers, whose ID is the name of the alert.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from promtool import DEADLINE, Exporter, Group, Server, Value, combined, except_between, group, since, until

HOUR: Final = 60
DAY: Final = 24 * HOUR
STEP: Final = 4
"""Minutes between samples in cases that last for days; less than Prometheus's lookback of 5 minutes."""

Servers = Sequence[tuple[str, Server]]

NEVER: Final[Value] = lambda _: -7200  # noqa: E731
HEALTHY: Final = Server(replicated=lambda minute: minute, size=10**6)
STALLED: Final = Server(increased=NEVER)
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
}
ON_SERVERS: Final = "SmsServer.+|Sms(Task|Check)Failed|Sms(Launch|Clone)Stuck"
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
        replace(HEALTHY, project=DEADLINE, size=5, replicated=lambda _: 5),
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
}
"""For each alert, servers that must not raise it, but nearly do."""

FURTHER: Final[Mapping[str, Sequence[Server]]] = {
    "SmsServerFailed": [Server(state=state) for state in ("premigfailed", "clearfailed")],
    "SmsTaskFailed": [replace(HEALTHY, task="MIGRATE_FAIL"), Server(state="finished", task="SYNC_FAIL")],
    "SmsServerDisconnected": [
        replace(HEALTHY, state=state, connected=0)
        for state in ("initialize", "syncing", "stopping", "cloning", "cutovering")
    ],
    "SmsServerStalled": [replace(STALLED, state="syncing"), replace(STALLED, changed=None)],
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
}
"""For each alert, further servers that must raise it."""


def on_servers(*alerts: str) -> set[str]:
    """Return the alerts, each on the server that has its name."""
    return {f"{alert}/{alert}" for alert in alerts}


ALL: Final = on_servers(*PROBLEMS)
SERVERS: Final[Servers] = [
    *PROBLEMS.items(),
    ("healthy", HEALTHY),
    *((f"waiting-{number}", Server(state="waiting")) for number in range(4)),
]


def during(servers: Servers, listed: object) -> Servers:
    """Return the servers, in the list at these times."""
    return [(server_id, replace(server, listed=listed)) for server_id, server in servers]  # type: ignore[arg-type]


def groups() -> Iterator[Group]:
    """Return all test groups."""
    yield from _problems()
    yield from _labels()
    yield from _outages()
    yield from _accounts()
    yield from _lists()
    yield from _data()


def _problems() -> Iterator[Group]:
    timing = {
        1: on_servers("SmsServerStalled"),
        2: on_servers("SmsServerStalled", "SmsServerFailed", "SmsLaunchStuck", "SmsCloneStuck"),
    }
    later = {
        4: timing[2],
        5: timing[2] | on_servers("SmsServerDisconnected", "SmsTaskFailed", "SmsServerNotStarted"),
        9: timing[2] | on_servers("SmsServerDisconnected", "SmsTaskFailed", "SmsServerNotStarted"),
        10: ALL - on_servers("SmsServerPaused", "SmsServerUnavailable", "SmsServerLate"),
        14: ALL - on_servers("SmsServerPaused", "SmsServerUnavailable", "SmsServerLate"),
        16: ALL,
    }
    first = {0: set[str](), **timing, **later}
    yield group("each problem raises its alert, after its time", [Exporter(SERVERS)], first)
    end = {60: ALL, 64: ALL, 66: on_servers("SmsServerLate"), 74: on_servers("SmsServerLate"), 76: set[str]()}
    healed = [*during(SERVERS, until(60)), *((name, replace(HEALTHY, listed=since(60))) for name, _ in SERVERS)]
    yield group("each alert resolves when its problem is gone", [Exporter(healed)], end, among=ON_SERVERS)
    misses = (
        group("", [_numbered(servers)], {58: set(), 70: set()}, among=alert, account=alert)
        for alert, servers in NEAR_MISSES.items()
    )
    yield combined("near misses", misses)
    further = (
        group("", [_numbered(servers)], {75: {f"{alert}/{n}" for n in range(len(servers))}}, among=alert, account=alert)
        for alert, servers in FURTHER.items()
    )
    yield combined("other servers with the same problems", further)


def _numbered(servers: Sequence[Server]) -> Exporter:
    return Exporter([(str(number), server) for number, server in enumerate(servers)])


def _labels() -> Iterator[Group]:
    renamed = [(name, replace(server, name="new", listed=since(60))) for name, server in SERVERS]
    times = dict.fromkeys((59, 60, 61, 63, 70, 90), ALL)
    yield group("renamed servers keep their alerts", [Exporter([*during(SERVERS, until(60)), *renamed])], times)
    states = [
        ("SmsServerFailed", Server(state="error", listed=until(40))),
        ("SmsServerFailed", Server(state="clearfailed", listed=since(40))),
    ]
    kept = {minute: on_servers("SmsServerFailed") for minute in (39, 40, 41, 50)}
    yield group("a failed server keeps its alert when its state changes", [Exporter(states)], kept)
    replicas = [
        Exporter(SERVERS, is_running=until(60)),
        Exporter([(name, replace(server, name="other")) for name, server in SERVERS], instance="y"),
    ]
    kept = dict.fromkeys((30, 59, 60, 61, 65), ALL)
    kept |= {80: ALL | {"SmsReplicaDown@"}}
    yield group("two exporters raise each alert once, and one of them goes down", replicas, kept)
    refused = [Exporter(instance="x"), Exporter(instance="y", is_running=lambda _: False)]
    yield group("an exporter that never could be scraped", refused, {8: set(), 12: {"SmsReplicaDown@"}})
    failing = [Exporter(instance="x"), Exporter(instance="y", polls_succeed=until(10))]
    yield group("an exporter whose polls fail", failing, {20: set(), 24: {"SmsReplicaDown@"}})
    single = [Exporter(instance="x"), Exporter(instance="y", polls_succeed=lambda minute: minute % 2 == 0)]
    yield group("an exporter with single failed polls", single, {40: set(), 41: set()})
    other = [Exporter(account="a"), Exporter(account="b", instance="y", is_running=until(10))]
    yield group("the only exporter of an account goes down", other, {30: {"SmsExporterAbsent@b"}})


def _outages() -> Iterator[Group]:
    down = {"SmsPollFailing", "SmsDataStale"}
    times: dict[int, set[str]] = {59: ALL, 62: ALL, 65: ALL, 67: ALL | {"SmsPollFailing"}}
    times |= dict.fromkeys((70, 90, 99), ALL | down) | {100: ALL, 101: ALL, 130: ALL}
    api_down = Exporter(SERVERS, polls_succeed=except_between(60, 100))
    yield group("an outage of the API", [api_down], times)
    healed = [
        *during(SERVERS, until(80)),
        *((name, replace(HEALTHY, listed=since(80))) for name, _ in SERVERS),
        ("new", Server(state="error", listed=since(80))),
    ]
    alerts = {99: ALL | down, 100: ALL, 103: ALL | {"SmsServerFailed/new"}, 116: {"SmsServerFailed/new"}}
    yield group(
        "problems that change during an outage",
        [Exporter(healed, polls_succeed=except_between(60, 100))],
        {minute: expected - on_servers("SmsServerLate") for minute, expected in alerts.items()},
        among="Sms(ServerFailed|PollFailing|DataStale|ServerDisconnected|CheckFailed|TaskFailed|ServerPaused|ServerStalled"
        "|ServerNotStarted|ServerUnavailable|LaunchStuck|CloneStuck)",
    )
    restart = [
        Exporter(SERVERS, is_target=until(60), is_running=until(60)),
        Exporter(SERVERS, is_target=since(62), is_running=since(62), instance="new", started=3700),
    ]
    yield group("the exporter restarts", restart, dict.fromkeys((59, 60, 61, 62, 63, 65, 70, 90), ALL))
    forgetful = [
        (name, replace(server, increased=lambda minute: 62 * 60 if minute >= 62 else -7200))
        if name == "SmsServerStalled"
        else (name, server)
        for name, server in SERVERS
    ]
    again = [replace(restart[0], servers=forgetful), replace(restart[1], servers=forgetful)]
    yield group("the exporter forgets a stall", again, dict.fromkeys((59, 61, 63, 69, 75, 90), ALL))
    absent = Exporter(SERVERS, is_running=except_between(60, 100))
    times = dict.fromkeys((60, 64, 100, 101, 130), ALL) | {99: ALL | {"SmsExporterAbsent"}}
    yield group("the exporter is down for a while", [absent], dict(sorted(times.items())))
    weekend = Exporter(SERVERS, polls_succeed=except_between(HOUR, 3 * DAY))
    times = dict.fromkeys((2 * HOUR, DAY, 2 * DAY, 3 * DAY - STEP), ALL | down)
    times |= {HOUR - STEP: ALL, 3 * DAY: ALL, 3 * DAY + STEP: ALL, 3 * DAY + HOUR: ALL}
    yield group("an outage of the API over a weekend", [weekend], dict(sorted(times.items())), step=STEP)
    gone = Exporter(SERVERS, is_running=except_between(HOUR, 3 * DAY))
    times = {minute: ALL | {"SmsExporterAbsent"} for minute in (2 * HOUR, DAY, 2 * DAY, 3 * DAY - STEP)}
    times |= {HOUR - STEP: ALL, 3 * DAY: ALL, 3 * DAY + HOUR: ALL}
    others = Exporter(account="b", instance="y")
    yield group(
        "one exporter is down over a weekend while another is scraped",
        [gone, others],
        dict(sorted(times.items())),
        step=STEP,
    )
    # Of three polls one succeeds after the outage: the data is always fresh.
    shaky = Exporter(SERVERS, polls_succeed=lambda minute: minute < 60 or (minute >= 80 and minute % 3 == 0))
    yield group(
        "one poll of three succeeds after an outage",
        [shaky],
        {79: ALL | down, 81: ALL, 90: ALL, 120: ALL},
        among=f"{ON_SERVERS}|SmsPollFailing|SmsDataStale",
    )
    slow = Exporter(SERVERS, polls_succeed=lambda minute: minute < 60 or (minute >= 80 and minute % 5 == 0))
    yield group(
        "one poll of five succeeds after an outage",
        [slow],
        {79: ALL | down, 80: ALL, 84: ALL, 120: ALL},
        among=f"{ON_SERVERS}|SmsPollFailing|SmsDataStale",
    )


def _accounts() -> Iterator[Group]:
    other = Exporter(account="b", servers=[("b", HEALTHY)])
    removed = [Exporter(SERVERS, is_configured=until(30)), other]
    yield group("an account is removed by a reload", removed, {29: ALL, 34: ALL, 46: set(), 80: set()})
    service = ', namespace="n", service="sms"'
    pods = [
        Exporter(SERVERS, is_target=until(30), is_running=until(30), instance="1", labels=service),
        replace(other, is_target=since(29), is_running=since(29), instance="2", labels=service, started=29 * 60),
    ]
    yield group("an account is removed and its pod replaced", pods, {29: ALL, 34: ALL, 46: set(), 80: set()})
    absent = ALL | {"SmsExporterAbsent"}
    old = replace(other, instance="2", labels=service, started=0)
    yield group("a pod disappears beside an older one", [pods[0], old], {29: ALL, 46: absent, 80: absent})
    foreign = replace(pods[1], labels=', namespace="n", service="other"')
    yield group("a pod disappears while another service starts", [pods[0], foreign], {29: ALL, 46: absent, 80: absent})
    target = Exporter(SERVERS, instance="host:1/a", is_target=until(30), is_running=until(30))
    itself = replace(other, instance="host:1")
    yield group("the target of an account is removed", [target, itself], {29: ALL, 34: ALL, 46: set(), 80: set()})
    known = 'exporter:huaweicloud_sms_account_last_seen_timestamp_seconds:max{account="a", job="sms", instance="gone"}'
    almost = {"series": known, "values": str(10 * 60 - 30 * DAY * 60)}
    kept = {8: {"SmsExporterAbsent"}, 12: set[str]()}
    yield group("an account is absent for 30 days", [other], kept, series=[almost])
    unscraped = replace(target, is_target=lambda _: True)
    both = ALL | {"SmsExporterAbsent"}
    yield group("the target of an account cannot be scraped", [unscraped, itself], {29: ALL, 46: both, 80: both})


def _lists() -> Iterator[Group]:
    emptied = Exporter(during(SERVERS, until(60)))
    alerts = {
        59: ALL,
        61: ALL,
        64: ALL | {"SmsListShrunk"},
        76: {"SmsListShrunk"},
        118: {"SmsListShrunk"},
        122: set[str](),
    }
    yield group("the list becomes empty", [emptied], alerts)
    glitch = Exporter(during(SERVERS, except_between(60, 62)))
    yield group("the list is empty for two polls", [glitch], dict.fromkeys((59, 60, 61, 62, 63, 70), ALL))
    changes = ((10, 4, True), (10, 5, False), (9, 4, False), (9, 0, True), (1, 0, True))
    yield combined("parts of a list disappear", (_shrinking(*change) for change in changes))
    held = Exporter(during(SERVERS, until(60)), polls_succeed=until(70))
    yield group(
        "the list is empty before an outage", [held], {90: {"SmsListShrunk"}, 200: {"SmsListShrunk"}}, among="SmsL.+"
    )
    limits = [("snapshot_source_servers", "", 899, False), ("snapshot_source_servers", "", 900, True)]
    limits += [("source_servers", f', state="{state}"', 90, True) for state in RUNNING]
    limits += [
        ("source_servers", ', state="replicate"', 89, False),
        ("source_servers", ', state="waiting"', 500, False),
    ]
    yield combined("limits of an account", (_near_limit(f"account-{n}", *limit) for n, limit in enumerate(limits)))
    week = 7 * DAY
    finished = [("old", Server(state="finished", changed=(-week - 60) * 60.0))]
    recent = [("recent", Server(state="finished", changed=(-week + 4 * HOUR) * 60.0))]
    cleared = [("cleared", Server(state="cleared", changed=(-week - 60) * 60.0))]
    expected = {"SmsSnapshotsNotCleared"}
    parts = [
        group("", [Exporter(finished)], {56: set(), 64: expected}, account="old", step=STEP),
        group("", [Exporter(recent)], {64: set()}, account="recent", step=STEP),
        group("", [Exporter(cleared)], {64: set()}, account="cleared", step=STEP),
    ]
    yield combined("servers that finished a week ago", parts)


RUNNING: Final = ("initialize", "replicate", "syncing", "stopping", "cloning", "cutovering")


def _shrinking(count: int, left: int, alert: bool) -> Group:
    kept = [(f"kept-{number}", Server(state="waiting")) for number in range(left)]
    leaving = [(f"gone-{number}", Server(state="waiting", listed=until(30))) for number in range(count - left)]
    expected = {"SmsListShrunk"} if alert else set[str]()
    return group("", [Exporter([*kept, *leaving])], {29: set(), 40: expected}, account=f"{count}-{left}")


def _near_limit(account: str, metric: str, labels: str, count: int, alert: bool) -> Group:
    exporter = Exporter(more=[(metric, labels.removeprefix(", "), lambda _: count)])
    expected = {"SmsAccountNearLimit"} if alert else set[str]()
    return group("", [exporter], {14: set(), 20: expected}, among="SmsAccountNearLimit", account=account)


def _data() -> Iterator[Group]:
    counts = [
        group(
            "", [Exporter(SERVERS, missing=lambda _: 1)], {58: set(), 64: INCOMPLETE}, among=SMS_DATA, account="differs"
        ),
        group(
            "", [Exporter(SERVERS, missing=lambda minute: minute < 50)], {64: set()}, among=SMS_DATA, account="differed"
        ),
        group(
            "", [_counting("skipped_records_total", always_growing)], {64: INCOMPLETE}, among=SMS_DATA, account="skips"
        ),
        group("", [_counting("skipped_records_total", grown_once)], {64: set()}, among=SMS_DATA, account="skipped"),
    ]
    yield combined("incomplete lists", counts)
    for metric in ("unknown_values_total", "unreadable_values_total"):
        unknown = {58: set[str](), 64: {"SmsDataIncomplete@"}}
        yield group(f"{metric} keeps growing", [_counting(metric, always_growing)], unknown)
        yield group(f"{metric} grew once", [_counting(metric, grown_once)], {70: set()})


SMS_DATA: Final = "SmsDataIncomplete"
INCOMPLETE: Final = {SMS_DATA}


def always_growing(minute: int) -> float:
    """Return a counter that increases in every minute."""
    return minute


def grown_once(minute: int) -> float:
    """Return a counter that increased in minute 10."""
    return minute > 10


def _counting(metric: str, value: Value) -> Exporter:
    labels = 'reason="invalid"' if metric.startswith("skipped") else 'field="state"'
    return Exporter(more=[(f"exporter_{metric}", labels, value)])
