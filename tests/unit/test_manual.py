"""The text of --help."""

import re

import pytest

from exporter.commands.check import CheckSettings
from exporter.commands.demo import DemoSettings
from exporter.commands.simulate import SimulatorSettings
from exporter.settings import Settings
from exporter.settings.manual import MAX_COLUMNS, Manual, help_text
from exporter.settings.options import options

MANUAL = Manual("sms-exporter", "Does things.", {0: "Success.", 2: "Failure."}, "See the documentation.")


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("tree", [Settings, CheckSettings, SimulatorSettings])
def test_help_fits_the_terminal_and_has_at_most_100_columns(width: int, tree: type[Settings]) -> None:
    lines = help_text(MANUAL, tree, width).splitlines()
    assert max(map(len, lines)) <= min(width, MAX_COLUMNS)


def test_help_lists_the_commands_then_the_most_used_options_then_the_options_by_group() -> None:
    manual = Manual("sms-exporter", "Does things.", {0: "Success."}, commands={"run": "does it", "check": "checks it"})
    text = help_text(manual, Settings, 80)
    order = [
        "Usage: sms-exporter [COMMAND]",
        "\n  run    does it\n  check  checks",
        "Most used options:",
        "\napi: ",
        "\nauth: ",
    ]
    found = [text.index(part) for part in order]
    assert found == sorted(found)


def test_brief_help_has_the_options_of_the_command_and_no_groups() -> None:
    text = help_text(Manual("sms-exporter check", "Checks.", {0: "Success."}, brief=True), CheckSettings, 80)
    assert "--live" in text
    assert "--config.file=FILE" in text
    assert "--collector.disks" not in text


def test_brief_help_of_the_demo_shows_every_default_that_differs() -> None:
    text = help_text(Manual("sms-exporter demo", "Shows.", {0: "Success."}, brief=True), DemoSettings, 100)
    usual = {option.key: option.default for option in options(Settings)}
    own = {
        option.flag: option.default for option in options(DemoSettings) if usual.get(option.key, "") != option.default
    }
    assert own.keys() >= {"--web.listen-address", "--poll.interval", "--account.name", "--log.level", "--servers"}
    for flag, default in own.items():
        described = rf"{flag}=(?:(?!\n  --).)*\(default: {default}\)"
        shown = rf"--\[no-\]{flag[2:]}\s" if default == "true" else described
        assert re.search(shown, text, re.DOTALL), flag


def test_only_listen_addresses_have_the_placeholder_address() -> None:
    placeholders = {
        option.flag: option.placeholder for tree in (Settings, SimulatorSettings) for option in options(tree)
    }
    assert {flag for flag, word in placeholders.items() if word == "ADDRESS"} == {"--web.listen-address", "--listen"}
    assert placeholders["--fault"] == placeholders["--collector.info-labels-include"] == "WORD"


def test_help_ends_with_the_exit_codes_and_the_hint() -> None:
    text = help_text(MANUAL, Settings, 80)
    assert text.endswith("\nExit codes:\n  0  Success.\n  2  Failure.\n\nSee the documentation.\n")


def test_no_name_is_broken_at_a_hyphen() -> None:
    manual = Manual("sms-exporter", "Does.", {0: "Success."}, "See the manual of sms-exporter-simulate. " * 5)
    for width in range(50, MAX_COLUMNS):
        assert not [line for line in help_text(manual, Settings, width).splitlines() if line.endswith("-")]


def test_help_warns_that_secrets_in_flags_are_visible_in_the_process_list() -> None:
    assert "flags are visible in the process list" in " ".join(help_text(MANUAL, Settings, 80).split())


def test_a_switch_that_is_on_by_default_is_shown_with_its_negation() -> None:
    text = help_text(MANUAL, Settings, 80)
    assert "--[no-]collector.servers" in text
    assert "  --collector.disks " in text
