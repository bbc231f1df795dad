"""The output of the commands."""

import sys

import pytest

from exporter.cli import main
from exporter.commands.check import Finding
from exporter.commands.output import print_errors
from exporter.commands.reading import Reading
from exporter.commands.status import COLUMNS, NO_VALUE, plain_lines
from exporter.errors import AuthError
from exporter.exposition.bodies import Exposition
from exporter.exposition.health import Health
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account
from support import FakeClock, account, server, snapshot


def reading(clock: FakeClock, known: Snapshot | None) -> Reading:
    polled = Account(account())
    polled.state.snapshot = known
    return Reading([polled], Exposition((), [polled]), Health([polled], clock, lambda _: {}))


def facts(found: Finding) -> dict[str, str]:
    """Return the facts of a report by name."""
    return {line[2:15].strip(): line[15:] for line in found.lines() if line.startswith("  ")}


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
    error = AuthError("the token is refused", hint="renew it", request_id="r1")
    found = Finding(account(), "token", error=error)
    assert next(found.lines()) == "account default: failed (auth)"
    assert facts(found)["error"] == "the token is refused"
    assert facts(found)["hint"] == "renew it"
    assert facts(found)["request id"] == "r1"
    assert [
        Finding(account()).exit_code,
        found.exit_code,
        Finding(account(), error=error, is_configured=False).exit_code,
    ] == [0, 1, 2]


def test_control_characters_in_an_error_of_the_api_are_escaped() -> None:
    found = Finding(account(), error=AuthError("no\x1b[2Jthing\nelse"))
    assert facts(found)["error"] == r"no\x1b[2Jthing\nelse"


def test_plain_lines_list_servers_that_need_attention_first_then_running_migrations(clock: FakeClock) -> None:
    known = snapshot(
        server("a", state="finished"),
        server("b", state="replicate", current_task={"remain_seconds": 90, "migrate_speed": 8.0}),
        server("c", state="replicate", current_task={"remain_seconds": 20}),
        server("d", state="waiting", checks=[{"name": "CPU", "result": "ERROR"}]),
        server("e", state="error", ip="10.0.0.1", totalsize=3, replicatesize=1),
    )
    head, *lines = (line.split("\t") for line in plain_lines(reading(clock, known)))
    assert tuple(head) == COLUMNS
    assert lines == [
        ["default", "e", "10.0.0.1", "error", "33.3 %", NO_VALUE, NO_VALUE, "failed"],
        ["default", "d", NO_VALUE, "waiting", NO_VALUE, NO_VALUE, NO_VALUE, "checks"],
        ["default", "c", NO_VALUE, "replicate", NO_VALUE, NO_VALUE, "20 s", NO_VALUE],
        ["default", "b", NO_VALUE, "replicate", NO_VALUE, "977 KiB/s", "1 min 30 s", NO_VALUE],
        ["default", "a", NO_VALUE, "finished", NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE],
    ]


def test_control_characters_in_a_server_name_are_escaped(clock: FakeClock) -> None:
    known = snapshot(server("a", name="x\ty\n\x1b[31mz", state="finished"), server("b", name="Größe 🚚"))
    _, *lines = plain_lines(reading(clock, known))
    assert [line.split("\t")[1] for line in lines] == ["Größe 🚚", r"x\ty\n\x1b[31mz"]
    assert all(line.count("\t") == len(COLUMNS) - 1 for line in lines)


def test_without_data_there_is_only_the_header(clock: FakeClock) -> None:
    assert len(list(plain_lines(reading(clock, None)))) == 1


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
