"""The scenarios in which servers reach a threshold of time exactly, which is not yet a problem, or already one."""

from collections.abc import Iterator
from dataclasses import replace

from promtool import DEADLINE, Exporter, Group, Server, combined, group
from rule_cases import HEALTHY, STALLED


def groups() -> Iterator[Group]:
    """Return all test groups."""
    yield combined("thresholds of time", {"launches": _launches(), "stalls": _stalls(), "deadlines": _deadlines()})


def _launches() -> Group:
    """Return a group with launches and clones that began in minute 0: an hour is not too long, a minute more is."""
    servers = {
        "launch": Server(state="cutovering", changed=0),
        "clone": Server(state="cloning", changed=0),
        "creating": replace(HEALTHY, clone="CREATING"),
    }
    stuck = {"SmsLaunchStuck/launch", "SmsCloneStuck/clone", "SmsCloneStuck/creating"}
    exporters = [Exporter(list(servers.items())), Exporter([("creating", HEALTHY)], account="b")]
    return group("", exporters, {62: set(), 63: stuck}, among="Sms(Launch|Clone)Stuck")


def _stalls() -> Group:
    """Return a group with servers that replicate for 30 minutes, or whose last data arrived 30 minutes ago."""
    servers = {
        "started": replace(STALLED, changed=0),
        "progressed": replace(STALLED, increased=lambda _: 0),
        "complete": replace(STALLED, size=5),
    }
    started, progressed, _ = (f"SmsServerStalled/{server_id}" for server_id in servers)
    expected = {30: set[str](), 31: {started}, 32: {started, progressed}}
    return group("", [Exporter(list(servers.items()))], expected, among="SmsServerStalled")


def _deadlines() -> Group:
    """Return a group with deadlines in minutes 10 and 150, and servers that will be replicated 100 minutes later."""
    deadlines = [
        {
            "series": f'sms:migration_deadline_timestamp_seconds{{account="a", enterprise_project_id="{name}"}}',
            "values": f"{minute * 60}x70",
        }
        for name, minute in (("soon", 10), ("later", 150))
    ]
    servers = {
        "waits": Server(state="waiting", project="soon"),
        "replicates": replace(HEALTHY, project="later", size=0, remaining=6000),
        "started": replace(HEALTHY, project=DEADLINE, changed=20 * 60),
        "complete": replace(HEALTHY, size=5, replicated=lambda _: 5),
    }
    missed = {"SmsServerNotStarted/waits"}
    started = missed | {"SmsServerLate/started"}
    expected = {15: set[str](), 16: missed, 64: missed, 65: started, 66: started | {"SmsServerLate/replicates"}}
    exporter = Exporter(list(servers.items()))
    return group("", [exporter], expected, among="SmsServer(Late|NotStarted)", series=deadlines)
