"""The text of --help."""

import re

import pytest

from exporter.commands.check import CheckSettings
from exporter.commands.demo import DemoSettings, SimulatorSettings
from exporter.settings import Settings
from exporter.settings.manual import WIDEST, Manual, help_text
from exporter.settings.options import options

MANUAL = Manual("sms-exporter", "Does things.", {0: "Well.", 2: "Not well."}, "Read on elsewhere.")


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("tree", [Settings, CheckSettings, SimulatorSettings])
def test_help_is_as_wide_as_the_terminal_and_not_too_wide_to_read(width: int, tree: type[Settings]) -> None:
    lines = help_text(MANUAL, tree, width).splitlines()
    assert max(map(len, lines)) <= min(width, WIDEST)


def test_help_tells_the_commands_then_what_most_need_then_the_options_in_groups() -> None:
    manual = Manual("sms-exporter", "Does things.", {0: "Well."}, commands={"run": "does it", "check": "looks at it"})
    text = help_text(manual, Settings, 80)
    order = [
        "Usage: sms-exporter [COMMAND]",
        "\n  run    does it\n  check  looks",
        "Most used options:",
        "\napi: ",
        "\nauth: ",
    ]
    found = [text.index(part) for part in order]
    assert found == sorted(found)


def test_brief_help_leaves_the_groups_out_and_keeps_the_commands_own_options() -> None:
    text = help_text(Manual("sms-exporter check", "Checks.", {0: "Well."}, brief=True), CheckSettings, 80)
    assert "--live" in text
    assert "--config.file=FILE" in text
    assert "--collector.disks" not in text


def test_brief_help_of_the_demo_tells_every_default_that_is_its_own() -> None:
    text = help_text(Manual("sms-exporter demo", "Shows.", {0: "Well."}, brief=True), DemoSettings, 100)
    usual = {option.key: option.default for option in options(Settings)}
    own = {option.flag: option.default for option in options(DemoSettings) if usual.get(option.key) != option.default}
    assert own.keys() >= {"--web.listen-address", "--poll.interval", "--account.name", "--log.level", "--servers"}
    for flag, default in own.items():
        assert re.search(rf"{flag}=[^(]*\(default: {default}\)", text), flag


def test_only_where_one_listens_is_called_an_address() -> None:
    called = {option.flag: option.takes for tree in (Settings, SimulatorSettings) for option in options(tree)}
    assert {flag for flag, word in called.items() if word == "ADDRESS"} == {"--web.listen-address", "--listen"}
    assert called["--fault"] == called["--collector.info-labels-include"] == "WORD"


def test_help_ends_with_the_exit_statuses_and_where_to_read_on() -> None:
    text = help_text(MANUAL, Settings, 80)
    assert text.endswith("\nExit status:\n  0  Well.\n  2  Not well.\n\nRead on elsewhere.\n")


def test_a_switch_that_is_on_is_shown_with_its_way_off() -> None:
    text = help_text(MANUAL, Settings, 80)
    assert "--[no-]collector.servers" in text
    assert "  --collector.disks " in text
