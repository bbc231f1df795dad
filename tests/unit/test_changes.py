import pytest

from exporter.settings.tree import same_connection, same_list, without_fixed
from support import account, settings

API = "http://127.0.0.1:9"


def test_options_that_need_a_restart_keep_their_value_and_are_named() -> None:
    before = settings(web={"telemetry_path": "/sms"})
    after = settings(web={"listen_address": ":1", "config_file": "/web.yml"}, collector={"disks": True})
    merged, waiting = without_fixed(before, after)
    assert waiting == ("--web.listen-address", "--web.config.file", "--web.telemetry-path")
    assert (merged.web, merged.collector) == (before.web, after.collector)


def test_equal_settings_have_no_option_that_needs_a_restart() -> None:
    assert without_fixed(settings(), settings()) == (settings(), ())


@pytest.mark.parametrize(
    "change",
    [
        {"auth": {"token": "another"}},
        {"api": {"endpoint": API, "concurrency": 2}},
        {"iam": {"endpoint": API}},
        {"filter": {"state": "error"}},
    ],
)
def test_these_changes_need_a_new_connection(change: dict[str, dict[str, object]]) -> None:
    assert not same_connection(account(), account(**change))


@pytest.mark.parametrize("change", [{"poll": {"interval": "5s"}}, {"limits": {"series": 1}}])
def test_these_changes_keep_the_connection(change: dict[str, dict[str, object]]) -> None:
    assert same_connection(account(), account(**change))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"api": {"endpoint": "http://127.0.0.1:10"}}, False),
        ({"filter": {"state": "error"}}, False),
        ({"api": {"endpoint": API, "read_timeout": "5s"}}, True),
        ({"auth": {"token": "another"}}, True),
    ],
)
def test_only_another_endpoint_or_filter_is_another_list(change: dict[str, dict[str, object]], same: bool) -> None:
    assert same_list(account(), account(**change)) is same
