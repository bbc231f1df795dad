"""PromQL expressions that the dashboards share.

If several exporters poll one account, the most recent data is used, so that each server counts once and
joins are one to one. States may be exposed as one series or as a set of 0 and 1, hence `== 1`.
"""

from typing import Final

from exporter.families.family import PREFIX

FAILED_STATES: Final = "error|premigfailed|clearfailed"
MOVING_STATES: Final = "replicate|syncing"
MIGRATING_STATES: Final = "initialize|replicate|syncing|stopping|cloning|cutovering"
CHOSEN_SERVER: Final = 'server_id="$server"'
STALLED_AFTER: Final = 30 * 60
"""Seconds without replicated data after which a server is stalled; three poll intervals if that is longer."""

_CHOSEN_ACCOUNTS: Final = 'account=~"$account"'
_ON: Final = "on (account, server_id)"
_REPLICATED: Final = "source_server_replicated_bytes"


def selector(metric: str, *matchers: str) -> str:
    """Select a metric, named without its prefix, of the selected accounts."""
    return f"{PREFIX}{metric}{{{','.join((_CHOSEN_ACCOUNTS, *matchers))}}}"


def matching(label: str, pattern: str) -> str:
    """Match a label by a regular expression."""
    return f'{label}=~"{pattern}"'


def one(expression: str, *labels: str) -> str:
    """Return one series per account and `labels`, without the target labels."""
    return f"max by ({', '.join(('account', *labels))}) ({expression})"


def health(metric: str, *labels: str) -> str:
    """Return a health metric of the exporters, the maximum if several poll one account."""
    return one(selector(metric), *labels)


def fleet(metric: str, *labels: str, where: str = "") -> str:
    """Return a metric of the most recent list of each account."""
    freshest = f"topk by (account) (1, {selector('last_success_timestamp_seconds')})"
    chosen = selector(metric, *([where] if where else []))
    return one(f"{chosen} and on (account, job, instance) {freshest}", *labels)


def server(metric: str, *labels: str, where: str = "") -> str:
    """Return a metric of each server."""
    return fleet(metric, "server_id", *labels, where=where)


def own(metric: str, *labels: str) -> str:
    """Return a metric of the selected server."""
    return server(metric, *labels, where=CHOSEN_SERVER)


def servers_in(states: str) -> str:
    """Return 1 for each server in one of the states, a regular expression."""
    return f"({server('source_server_state', 'state', where=matching('state', states))} == 1)"


def among(expression: str, chosen: str) -> str:
    """Keep the series of servers that are in `chosen`."""
    return f"({expression} and {_ON} {chosen})"


def named(expression: str, *labels: str) -> str:
    """Add descriptive labels of the server to series."""
    words = labels or ("name", "ip")
    return f"{expression} * {_ON} group_left ({', '.join(words)}) {server('source_server_info', *words)}"


def left(chosen: str) -> str:
    """Return the bytes that each selected server still has to replicate."""
    return among(f"clamp_min({server('source_server_size_bytes')} - {server(_REPLICATED)}, 0)", chosen)


def pace(chosen: str) -> str:
    """Return the replicated bytes per second of each selected server over `$window`."""
    return among(f"clamp_min({one(f'deriv({selector(_REPLICATED)}[$window])', 'server_id')}, 0)", chosen)


def disconnected(states: str = MIGRATING_STATES) -> str:
    """Return 1 for each server in these states whose agent is not connected."""
    return among(servers_in(states), f"({server('source_server_connected')} == 0)")


def stalled() -> str:
    """Return 1 for each connected server that should replicate data, and has replicated none for STALLED_AFTER.

    It must have been in its state for as long, and have data left to replicate.
    """
    connected = among(servers_in(MOVING_STATES), f"({server('source_server_connected')} == 1)")
    grown = server("source_server_replicated_bytes_last_increase_timestamp_seconds")
    enough = f"clamp_min(3 * {health('poll_interval_seconds')}, {STALLED_AFTER})"
    known = among(connected, f"(time() - {grown} > on (account) group_left () {enough})")
    changed = server("source_server_state_changed_timestamp_seconds")
    begun = f"(time() - {changed} < {STALLED_AFTER})"
    complete = f"({server(_REPLICATED)} >= ({server('source_server_size_bytes')} > 0))"
    return f"({known} unless {_ON} {begun} unless {_ON} {complete})"


def attention() -> str:
    """Return the seconds since the state of a server changed, one series per server and problem.

    If the API does not report that time, the time since the stage changed; NaN if it reports neither.
    """
    failed = server("source_server_check_failed", "check", where='result="ERROR"')
    problems = " or ".join(
        (
            _problem(servers_in(FAILED_STATES), "in state $1", "state"),
            _problem(disconnected(), "disconnected in $1", "state"),
            _problem(stalled(), "stalled in $1", "state"),
            _problem(failed, "check $1 failed", "check"),
        ),
    )
    since = " or ".join(
        (
            server("source_server_state_changed_timestamp_seconds"),
            server("source_server_migration_cycle_changed_timestamp_seconds"),
            f"{server('source_server_info')} * NaN",
        ),
    )
    return named(f"(time() - ({since})) * {_ON} group_right () {one(problems, 'server_id', 'problem')}")


def total(expression: str, *labels: str) -> str:
    """Sum by labels, or everything."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def count(expression: str) -> str:
    """Count servers; 0 for none, no series if no account has data."""
    return f"count({expression}) or {total(fleet('source_servers', 'state'))} * 0"


def age_in_intervals() -> str:
    """Return the age of each account's data in poll intervals."""
    return f"(time() - {health('last_success_timestamp_seconds')}) / {health('poll_interval_seconds')}"


def _problem(expression: str, text: str, label: str) -> str:
    return f'label_replace({expression}, "problem", "{text}", "{label}", "(.*)")'
