"""What is logged of polls and lists, and how much of it."""

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.errors import ServerFault, Throttled
from exporter.polling.events import (
    MAX_LINES,
    MAX_REMEMBERED_VALUES,
    UNDOCUMENTED_VALUE_SECONDS,
    log_collector,
    log_missing_addresses,
    log_poll,
    log_server_errors,
    log_transitions,
    log_undocumented_values,
    log_unread_projects,
)
from exporter.polling.projects import ProjectMembers
from exporter.polling.snapshot import Details, Snapshot, Transition
from exporter.polling.state import Account, CollectorState, Poll
from exporter.sms.details import MigrationError, MigrationProject
from support import NOW, account, server, snapshot

COUNTS = [(1, 0), (MAX_LINES, 0), (MAX_LINES + 1, 1), (MAX_LINES + 3, 3)]
"""Numbers of changes, and how many of them are only counted."""


def events(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs]


@pytest.mark.parametrize(("changes", "counted"), COUNTS)
def test_changes_of_state_beyond_the_maximum_are_counted_by_state(changes: int, counted: int) -> None:
    moved = tuple(
        Transition(server(f"s{number}", name="web"), "waiting", "error" if number % 2 else "replicate")
        for number in range(changes)
    )
    with capture_logs() as logs:
        log_transitions(replace(snapshot(), transitions=moved))
    lines, more = logs[:MAX_LINES], logs[MAX_LINES:]
    assert len(lines) == changes - counted
    assert (lines[0]["server_id"], lines[0]["server"], lines[0]["account"]) == ("s0", "web", "default")
    assert (lines[0]["from_state"], lines[0]["to_state"]) == ("waiting", "replicate")
    states = {0: [], 1: ["replicate:1"], 3: ["replicate:2,error:1"]}[counted]
    assert [(line["servers"], line["to_states"]) for line in more] == [(counted, each) for each in states]


@pytest.mark.parametrize(("values", "counted"), COUNTS)
def test_undocumented_values_beyond_the_maximum_are_counted(values: int, counted: int) -> None:
    unknown = {("state" if number % 2 else "os_type", f"v{number}"): 1 for number in range(values)}
    with capture_logs() as logs:
        log_undocumented_values(replace(snapshot(), unknown=unknown), {})
    lines, more = logs[:MAX_LINES], logs[MAX_LINES:]
    assert len(lines) == values - counted
    assert (lines[0]["account"], lines[0]["field"], lines[0]["value"]) == ("default", "os_type", "v0")
    fields = {0: [], 1: ["os_type"], 3: ["os_type,state"]}[counted]
    assert [(line["values"], line["fields"]) for line in more] == [(counted, each) for each in fields]


@pytest.mark.parametrize(
    ("seconds", "is_logged"),
    [(0, False), (UNDOCUMENTED_VALUE_SECONDS - 1, False), (UNDOCUMENTED_VALUE_SECONDS, True), (-1, True)],
)
def test_an_undocumented_value_that_comes_back_is_logged_again_after_an_hour(seconds: float, is_logged: bool) -> None:
    unknown = {("state", "odd"): 1}
    logged_at = {("state", "odd"): NOW}
    with capture_logs() as logs:
        log_undocumented_values(snapshot(read_at=NOW + seconds), logged_at)
        log_undocumented_values(replace(snapshot(read_at=NOW + seconds), unknown=unknown), logged_at)
    assert bool(logs) == is_logged


def test_a_number_of_undocumented_values_is_remembered() -> None:
    logged_at: dict[tuple[str, str], float] = {}
    values = [("state", f"v{number}") for number in range(MAX_REMEMBERED_VALUES + 1)]
    with capture_logs():
        log_undocumented_values(replace(snapshot(), unknown=dict.fromkeys(values[:-1], 1)), logged_at)
        assert list(logged_at) == values[:-1]
        log_undocumented_values(replace(snapshot(), unknown=dict.fromkeys(values, 1)), logged_at)
    assert list(logged_at) == values[1:]


def with_errors(*ids: str, text: str = "SMS.0515 x") -> Snapshot:
    errors = {name: MigrationError(id=name, error_json=text) for name in ids}
    return replace(snapshot(*map(server, ids)), details={"errors": Details(NOW, errors)})


@pytest.mark.parametrize(("errors", "counted"), COUNTS)
def test_errors_of_servers_beyond_the_maximum_are_counted_by_code(errors: int, counted: int) -> None:
    logged: set[tuple[str, str]] = set()
    shown = with_errors(*(f"s{number}" for number in range(errors)))
    with capture_logs() as logs:
        log_server_errors(Account(account()), shown, logged)
        log_server_errors(Account(account()), shown, logged)
    lines, more = logs[:MAX_LINES], logs[MAX_LINES:]
    assert len(lines) == errors - counted
    assert (lines[0]["server_id"], lines[0]["error_code"], lines[0]["text"]) == ("s0", "SMS.0515", "SMS.0515 x")
    expected = [(counted, f"SMS.0515:{counted}")] if counted else []
    assert [(line["servers"], line["error_codes"]) for line in more] == expected


def test_an_error_is_logged_again_after_it_was_gone_or_with_another_code() -> None:
    logged: set[tuple[str, str]] = set()
    with capture_logs() as logs:
        for shown in (
            with_errors("a"),
            with_errors("a", text="SMS.0001"),
            with_errors("a"),
            snapshot(server("a")),
            with_errors("a"),
        ):
            log_server_errors(Account(account()), shown, logged)
    assert [line["error_code"] for line in logs] == ["SMS.0515", "SMS.0001", "SMS.0515", "SMS.0515"]


@pytest.mark.parametrize("servers", [1, MAX_LINES, MAX_LINES + 1])
def test_launched_servers_without_an_address_are_one_line_with_the_first_ids(servers: int) -> None:
    logged: set[tuple[str, str]] = set()
    shown = snapshot(*(server(f"s{number}", state="finished") for number in range(servers)))
    with capture_logs() as logs:
        for each in (shown, shown, snapshot(), shown):
            log_missing_addresses(Account(account()), each, logged)
    assert [line["servers"] for line in logs] == [servers] * 2
    assert len(logs[0]["server_ids"].split(",")) == min(servers, MAX_LINES)


@pytest.mark.parametrize("unread", [0, 1])
def test_migration_projects_whose_servers_are_not_read_are_logged_once(unread: int) -> None:
    logged: set[tuple[str, str]] = set()
    members = [
        ProjectMembers(MigrationProject(id=name), servers)
        for name, servers in (("p1", frozenset({"s1"})), *[("p2", None)] * unread)
    ]
    shown = replace(snapshot(), details={"projects": Details(NOW, {each.project.id: each for each in members})})
    with capture_logs() as logs:
        for each in (snapshot(), shown, shown):
            log_unread_projects(Account(account()), each, logged)
    assert [(line["projects"], line["unread"]) for line in logs] == [(2, 1)] * unread


def test_a_change_of_the_condition_of_a_collector_is_logged() -> None:
    good, bad = CollectorState(Details(NOW, {})), CollectorState(Details(NOW, {}), ServerFault("down"))
    changes = [
        (None, CollectorState(), ["collector is up"]),
        (None, good, []),
        (None, bad, ["collector is up"]),
        (ServerFault("x"), good, ["collector failed"]),
        (ServerFault("x"), bad, []),
        (Throttled("x"), bad, ["collector failed"]),
    ]
    for error, previous, expected in changes:
        with capture_logs() as logs:
            log_collector(Account(account()), "errors", error, previous)
        assert events(logs) == expected
        assert all((line["account"], line["collector"]) == ("default", "errors") for line in logs)


def poll(error: ServerFault | None = None, started_at: float = NOW) -> Poll:
    return Poll(started_at, 1.0004, 3, error)


@pytest.mark.parametrize(
    ("current", "previous", "expected"),
    [
        (poll(), None, ["account is up"]),
        (poll(), poll(), []),
        (poll(), poll(ServerFault("x")), ["account is up"]),
        (poll(ServerFault("x")), None, ["poll failed"]),
        (poll(ServerFault("x")), poll(ServerFault("y")), []),
    ],
)
def test_a_change_of_the_condition_of_an_account_is_logged(
    current: Poll, previous: Poll | None, expected: list[str]
) -> None:
    polled = Account(account())
    with capture_logs() as logs:
        log_poll(polled, current, previous)
    ended, *rest = logs
    assert (ended["event"], ended["log_level"], ended["account"]) == ("poll ended", "debug", "default")
    assert (ended["duration"], ended["pages"]) == (1.0, 3)
    assert ended["result"] == ("server_error" if current.error else "complete")
    assert events(rest) == expected


def test_the_line_of_an_account_that_is_up_has_its_servers_and_pages() -> None:
    polled = Account(account())
    for shown, servers in ((None, 0), (snapshot(server("a"), server("b")), 2)):
        polled.state.snapshot = shown
        with capture_logs() as logs:
            log_poll(polled, poll(), None)
        assert (logs[-1]["servers"], logs[-1]["pages"]) == (servers, 3)


def test_that_data_is_dropped_is_logged_at_the_poll_after_which_it_is_stale() -> None:
    polled = Account(account(poll={"stale_after": "150s"}))
    polled.state.snapshot = snapshot(server("a"))
    dropped = []
    before = None
    for seconds in (0, 60, 120, 180, 240):
        current = poll(ServerFault("x"), NOW + seconds)
        with capture_logs() as logs:
            log_poll(polled, current, before)
        before = current
        dropped.append("dropping stale data" in events(logs))
    assert dropped == [False, False, False, True, False]
