"""The log lines of a poll: its result, a change of the account's condition, and what the new list changed."""

from collections import Counter
from typing import Final

from exporter.errors import PollError
from exporter.http.foreign_text import clean_text
from exporter.logs import get_logger
from exporter.polling.launched import list_launched_servers
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, CollectorState, Poll

MAX_LINES: Final = 100
"""Lines about single servers or values in one poll. The rest is counted in one line: each line takes the
event loop about 100 microseconds, and a list can change in 10,000 places at once."""

UNDOCUMENTED_VALUE_SECONDS: Final = 3600.0
"""An undocumented value that disappears and comes back within this time is not logged again."""

MAX_REMEMBERED_VALUES: Final = 10_000
"""Maximum number of undocumented values that are remembered as logged."""

log = get_logger(__name__)


def log_poll(account: Account, poll: Poll, previous: Poll | None) -> None:
    """Log the result at debug, and a change of the account's condition at info or warn.

    The field `next_poll_in` has the seconds until the next poll if a failure delays it beyond the interval.
    """
    pause = {} if account.paused_until is None else {"next_poll_in": round(account.paused_until - poll.ended_at)}
    result = poll.error.reason if poll.error else "complete"
    duration = round(poll.duration, 3)
    log.debug("poll ended", account=account.name, result=result, duration=duration, pages=poll.pages, **pause)
    previous_reason = previous.error.reason if previous and previous.error else None
    if poll.error is None and (previous is None or previous_reason):
        snapshot = account.state.snapshot
        log.info(
            "account is up",
            account=account.name,
            servers=len(snapshot.servers) if snapshot else 0,
            pages=poll.pages,
        )
    if poll.error is not None and poll.error.reason != previous_reason:
        log.warning("poll failed", account=account.name, err=poll.error.message, **poll.error.facts(), **pause)
    expired = previous and account.served_snapshot(previous.ended_at) and not account.served_snapshot(poll.ended_at)
    if poll.error is not None and expired:
        log.warning("dropping stale data", account=account.name)


def log_transitions(snapshot: Snapshot) -> None:
    """Log each server that changed its state since the previous list, up to MAX_LINES."""
    for transition in snapshot.transitions[:MAX_LINES]:
        log.info(
            "server changed state",
            account=snapshot.account,
            server_id=transition.server.id,
            server=transition.server.name,
            from_state=transition.from_state,
            to_state=transition.to_state,
        )
    if more := snapshot.transitions[MAX_LINES:]:
        states = Counter(transition.to_state for transition in more)
        log.info(
            "more servers changed state",
            account=snapshot.account,
            servers=len(more),
            to_states=",".join(f"{state}:{count}" for state, count in states.most_common(MAX_LINES)),
        )


def log_undocumented_values(snapshot: Snapshot, logged_at: dict[tuple[str, str], float]) -> None:
    """Log each value outside its documented enumeration once while it lasts, up to MAX_LINES in one poll.

    `logged_at` is the memory between polls: when a value (field, value) was logged, in seconds since the epoch.
    """
    now = snapshot.read_at
    for known, at in list(logged_at.items()):
        if known not in snapshot.unknown and not 0 <= now - at < UNDOCUMENTED_VALUE_SECONDS:
            del logged_at[known]
    new = [value for value in snapshot.unknown if value not in logged_at]
    logged_at.update(dict.fromkeys(new, now))
    for known in list(logged_at)[:-MAX_REMEMBERED_VALUES]:
        del logged_at[known]
    for field, value in new[:MAX_LINES]:
        log.warning("undocumented value counts as other", account=snapshot.account, field=field, value=value)
    if more := new[MAX_LINES:]:
        log.warning(
            "more undocumented values count as other",
            account=snapshot.account,
            values=len(more),
            fields=",".join(sorted({field for field, _ in more})),
        )


def log_collector(account: Account, collector: str, error: PollError | None, previous: CollectorState) -> None:
    """Log a change of the condition of a collector that sends further requests, once while it lasts."""
    if error is None and not previous.up:
        log.info("collector is up", account=account.name, collector=collector)
    if error is not None and error.reason != (previous.error.reason if previous.error else None):
        log.warning("collector failed", account=account.name, collector=collector, err=error.message, **error.facts())


def log_server_errors(_: Account, snapshot: Snapshot, logged: set[tuple[str, str]]) -> None:
    """Log the error of each server of the list once while it has that code, up to MAX_LINES at a time.

    `logged` is the memory between readings: (id of the server, code).
    """
    details = snapshot.details.get("errors")
    errors = details.records if details else {}
    current = [(server, errors[server.id]) for server in snapshot.servers if server.id in errors]
    new = [(server, error) for server, error in current if (server.id, error.code) not in logged]
    logged.intersection_update({(server.id, error.code) for server, error in current})
    logged.update((server.id, error.code) for server, error in new)
    for server, error in new[:MAX_LINES]:
        log.info(
            "server has a migration error",
            account=snapshot.account,
            server_id=server.id,
            server=server.name,
            error_code=error.code,
            text=clean_text(error.error_json or ""),
        )
    if more := new[MAX_LINES:]:
        codes = Counter(error.code for _, error in more)
        log.info(
            "more servers have migration errors",
            account=snapshot.account,
            servers=len(more),
            error_codes=",".join(f"{code}:{count}" for code, count in codes.most_common(MAX_LINES)),
        )


def log_missing_addresses(account: Account, snapshot: Snapshot, logged: set[tuple[str, str]]) -> None:
    """Log launched servers without a valid address of the target server, each once while it lasts."""
    missing = [each.server.id for each in list_launched_servers(snapshot, account.settings) if each.address is None]
    new = [server_id for server_id in missing if ("address", server_id) not in logged]
    logged.intersection_update({("address", server_id) for server_id in missing})
    logged.update(("address", server_id) for server_id in new)
    if new:
        log.warning(
            "launched servers have no valid target address",
            account=snapshot.account,
            servers=len(new),
            server_ids=",".join(map(clean_text, new[:MAX_LINES])),
        )


def log_unread_projects(_: Account, snapshot: Snapshot, logged: set[tuple[str, str]]) -> None:
    """Log once that the account has more migration projects than those whose servers are read."""
    details = snapshot.details.get("projects")
    projects = details.records.values() if details else ()
    unread = [each for each in projects if each.servers is None]
    if unread and not logged:
        logged.add(("projects", "unread"))
        log.warning(
            "too many migration projects, the servers of some are not read",
            account=snapshot.account,
            projects=len(projects),
            unread=len(unread),
        )
