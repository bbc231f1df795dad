"""The output of the commands."""

import sys

import pytest
from rich.text import Text

from exporter.cli import main
from exporter.commands.check import Finding
from exporter.commands.columns import query_columns
from exporter.commands.output import print_errors
from exporter.commands.reading import Reading
from exporter.commands.status_view import StatusSettings, format_servers
from exporter.errors import AuthError
from exporter.exposition.bodies import Exposition
from exporter.exposition.health import Health
from exporter.language import Translatable
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account
from exporter.translation import Translator
from exporter.views.servers import build_server_views
from exporter.views.tables import FIELDS
from support import FakeClock, account, server, snapshot


def reading(clock: FakeClock, known: Snapshot | None) -> Reading:
    polled = Account(account())
    polled.state.snapshot = known
    return Reading([polled], Exposition((), [polled]), Health(clock, "unknown"))


def facts(found: Finding) -> dict[str, str]:
    """Return the facts of a report by name."""
    return {line[2:15].strip(): line[15:] for line in found.lines() if line.startswith("  ")}


@pytest.mark.parametrize(("state", "words", "style"), [("syncing", "-", ""), ("error", "failed", "red")])
def test_only_the_problems_of_a_server_are_red(state: str, words: str, style: str) -> None:
    (view,) = build_server_views([snapshot(server("s1", state=state, connected=True))])
    cell = query_columns(Translator("en"))[-1].cell(view)
    assert isinstance(cell, Text)
    assert (cell.plain, cell.style) == (words, style)


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        (0.9, "in sync with the API"),
        (-1.9, "in sync with the API"),
        (61, "1 min 1 s ahead of the API"),
        (-5, "5 s behind the API"),
    ],
)
def test_the_clock_skew_is_described_in_words(skew: float, words: str) -> None:
    assert facts(Finding(account(), skew=skew))["clock"] == words


def test_a_check_reports_a_failure_with_its_hint_and_exit_code() -> None:
    error = AuthError("the token is refused", hint=Translatable("renew it"), request_id="r1")
    found = Finding(account(), Translatable("token"), error=error)
    assert next(found.lines()) == "account default: failed (auth)"
    assert facts(found)["error"] == "the token is refused"
    assert facts(found)["hint"] == "renew it"
    assert facts(found)["request id"] == "r1"
    assert [
        Finding(account()).exit_code,
        found.exit_code,
        Finding(account(), error=error, is_configured=False).exit_code,
    ] == [0, 1, 2]


@pytest.mark.parametrize(
    ("option", "value", "warning"),
    [
        ("state", "replicating", "filter.state: the API does not document 'replicating'; did you mean replicate?"),
        ("state", "done", "filter.state: the API does not document 'done'; the API documents unavailable, waiting, "),
        ("migration_cycle", "sync", "filter.migration-cycle: the API does not document 'sync'; "),
    ],
)
def test_a_check_warns_about_an_undocumented_filter(option: str, value: str, warning: str) -> None:
    found = Finding(account(filter={option: value}))
    assert facts(found)["warning"].startswith(warning)
    assert found.exit_code == 0


def test_a_check_accepts_documented_filters() -> None:
    assert "warning" not in facts(Finding(account(filter={"state": "error", "migration_cycle": "syncing"})))


def test_control_characters_in_an_error_of_the_api_are_escaped() -> None:
    found = Finding(account(), error=AuthError("no\x1b[2Jthing\nelse"))
    assert facts(found)["error"] == r"no\x1b[2Jthing\nelse"


def lines(clock: FakeClock, known: Snapshot | None, **options: object) -> list[list[str]]:
    tree = StatusSettings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}, **options})
    return [line.split("\t") for line in format_servers(reading(clock, known), tree, "tsv").splitlines()]


def test_status_lists_servers_that_need_attention_first_then_running_migrations(clock: FakeClock) -> None:
    known = snapshot(
        server("a", state="finished"),
        server("b", state="replicate", current_task={"remain_seconds": 90, "migrate_speed": 8.0}),
        server("c", state="replicate", current_task={"remain_seconds": 20}),
        server("d", state="waiting", checks=[{"name": "CPU", "result": "ERROR"}]),
        server("e", state="error", ip="10.0.0.1", totalsize=3, replicatesize=1),
    )
    header, *rows = lines(clock, known)
    assert header == list(FIELDS)
    records = [dict(zip(header, row, strict=True)) for row in rows]
    assert [record["id"] for record in records] == ["e", "d", "c", "b", "a"]
    assert (records[0]["size_bytes"], records[0]["replicated_percent"], records[0]["problems"]) == (
        "3",
        "33.3",
        "failed",
    )
    assert (records[3]["speed_bytes_per_second"], records[3]["remaining_seconds"]) == ("1000000", "90")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"only_state": "replicate,error"}, ["b", "c"]),
        ({"problem": "any"}, ["b"]),
        ({"search": "db"}, ["c"]),
        ({"sort": "-name"}, ["c", "b", "a"]),
    ],
)
def test_status_searches_filters_and_sorts(clock: FakeClock, options: dict[str, object], found: list[str]) -> None:
    known = snapshot(
        server("a", name="app-1", state="finished"),
        server("b", name="app-2", state="error"),
        server("c", name="db-1", state="replicate"),
    )
    assert [row[3] for row in lines(clock, known, **options)[1:]] == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state=gone"], "--state: 'gone' is not one of unavailable, waiting, "),
        (["--problem=bad"], "--problem: 'bad' is not one of any, failed, disconnected, stalled, checks"),
        (["--sort=colour"], "--sort: given 'colour': must be one of urgency, account, name, "),
        (["--account=shop"], "--account: no account is called 'shop'; the accounts are default"),
        (["--watch", "--output=json"], "--watch: needs a terminal and --output=table"),
    ],
)
def test_an_invalid_status_option_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--api.endpoint=http://127.0.0.1:9", "--auth.token=x", *arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"sms-exporter: error: {message}")
    assert errors.count("\n") == 1


def test_without_data_there_is_only_the_header(clock: FakeClock) -> None:
    assert len(lines(clock, None)) == 1


def test_closed_standard_output_is_one_error_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["--version"]) == 1
    assert capsys.readouterr().err == "sms-exporter: error: standard output cannot be written: it is closed\n"


def test_an_error_message_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors(["the API answered \x1b]0;title\x07\r\nno \udcff"])
    escaped = r"the API answered \x1b]0;title\x07\r\nno \udcff"
    assert capsys.readouterr().err == f"sms-exporter: error: {escaped}\n"


def test_the_exit_code_is_the_same_if_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["check", "--bad"]) == 2
