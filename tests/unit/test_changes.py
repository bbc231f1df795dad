import pytest

from exporter.settings.tree import same_connection, same_list, without_fixed
from support import account, settings

API = "http://127.0.0.1:9"


def test_what_cannot_change_stays_and_is_named() -> None:
    before = settings(web={"telemetry_path": "/sms"})
    after = settings(web={"listen_address": ":1", "config_file": "/web.yml"}, collector={"disks": True})
    merged, waiting = without_fixed(before, after)
    assert waiting == ("--web.listen-address", "--web.config.file", "--web.telemetry-path")
    assert (merged.web, merged.collector) == (before.web, after.collector)


def test_where_nothing_differs_nothing_waits() -> None:
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
def test_what_needs_another_connection(change: dict[str, dict[str, object]]) -> None:
    assert not same_connection(account(), account(**change))


@pytest.mark.parametrize("change", [{"poll": {"interval": "5s"}}, {"limits": {"series": 1}}])
def test_what_needs_none(change: dict[str, dict[str, object]]) -> None:
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
def test_another_list_is_meant_by_another_address_or_filter(change: dict[str, dict[str, object]], same: bool) -> None:
    assert same_list(account(), account(**change)) is same
