"""PromQL expressions that the dashboards share. Most read the recording rules of deploy/prometheus/rules.

Records have one series per server or account, from the exporter with the most recent list, while data is fresh.
"""

from typing import Final

from exporter.families.family import PREFIX

FAILED_STATES: Final = "error|premigfailed|clearfailed"
MOVING_STATES: Final = "replicate|syncing"
MIGRATING_STATES: Final = "initialize|replicate|syncing|stopping|cloning|cutovering"
CHOSEN_SERVER: Final = 'server_id="$server"'

_CHOSEN_ACCOUNTS: Final = 'account=~"$account"'
_ON: Final = "on (account, server_id)"


def selector(metric: str, *matchers: str) -> str:
    """Select a metric, named without its prefix, of the selected accounts."""
    return f"{PREFIX}{metric}{{{','.join((_CHOSEN_ACCOUNTS, *matchers))}}}"


def record(name: str, *matchers: str, level: str = "server", operation: str = "freshest") -> str:
    """Select a record, named without level, prefix and operation, of the selected accounts."""
    return f"{level}:{PREFIX}{name}:{operation}{{{','.join((_CHOSEN_ACCOUNTS, *matchers))}}}"


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
    return one(freshest(selector(metric, *([where] if where else []))), *labels)


def freshest(expression: str) -> str:
    """Keep the series of the exporter with the most recent list of each account."""
    return f"{expression} and on (account, job, instance) {record('last_success_timestamp_seconds', level='exporter')}"


def server(metric: str, *labels: str, where: str = "") -> str:
    """Return a metric of each server."""
    return fleet(metric, "server_id", *labels, where=where)


def own(metric: str, *labels: str) -> str:
    """Return a metric of the selected server."""
    return server(metric, *labels, where=CHOSEN_SERVER)


def among(expression: str, chosen: str) -> str:
    """Keep the series of servers that are in `chosen`."""
    return f"{expression} and {_ON} {chosen}"


def unique(expression: str, *labels: str) -> str:
    """Keep one series for each combination of labels: another label can have its old and its new value for minutes."""
    return f"topk by ({', '.join(labels)}) (1, {expression})"


def named(expression: str, *labels: str) -> str:
    """Add descriptive labels of the server to series."""
    state = unique(record("state"), "account", "server_id")
    return f"{expression} * {_ON} group_left ({', '.join(labels or ('name', 'ip'))}) {state}"


def attention() -> str:
    """Return the seconds since the state of a server changed, one series per server and problem."""
    failed_check = f'{PREFIX}source_server_check_failed{{{_CHOSEN_ACCOUNTS},result="ERROR"}}'
    problems = " or ".join(
        (
            _problem(record("state", matching("state", FAILED_STATES)), "in state $1", "state"),
            _problem(record("disconnected"), "disconnected in $1", "state"),
            _problem(record("stalled"), "stalled in $1", "state"),
            _problem(one(f"{failed_check} == 1", "server_id", "check"), "check $1 failed", "check"),
        ),
    )
    since = one(f"time() - {record('state_since_timestamp_seconds')}", "server_id")
    return named(f"{since} * {_ON} group_right () {one(problems, 'server_id', 'problem')}")


def verdicts(*labels: str) -> str:
    """Return the number of servers with each verdict, by labels."""
    return total(record("verdict", level="project", operation="count"), *labels)


def alerts(*matchers: str) -> str:
    """Return the firing alerts of this project."""
    chosen = ",".join(('alertname=~"Sms.+"', 'alertstate="firing"', *matchers))
    return f"group by (alertname, severity, account, server_id, instance, problem) (ALERTS{{{chosen}}})"


def total(expression: str, *labels: str) -> str:
    """Sum by labels, or everything."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def count(expression: str) -> str:
    """Count servers; 0 for none, no series if no account has data."""
    return f"count({expression}) or 0 * {total(record('source_servers', level='account'))}"


def changes(counter: str, *labels: str) -> str:
    """Return the growth of a counter since the previous point of the graph, each change once; 0 after a reset."""
    now, before = (one(f"{selector(counter)}{offset}", *labels) for offset in ("", " offset $__interval"))
    return f"clamp_min({now} - {before}, 0)"


def age_in_intervals() -> str:
    """Return the age of each account's data in poll intervals."""
    return f"(time() - {health('last_success_timestamp_seconds')}) / {health('poll_interval_seconds')}"


def _problem(expression: str, text: str, label: str) -> str:
    return f'label_replace({expression}, "problem", "{text}", "{label}", "(.*)")'
