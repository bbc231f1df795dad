"""The options: their documented defaults, the bounds of their values, and what is derived from them."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.errors import ConfigurationError
from exporter.settings import AccountSettings, ApiSettings, AuthSettings, PollSettings, Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.settings.tree import LIVE, WebSettings, same_connection, same_list, without_fixed
from support import account, settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "configuration.md"
ROW = re.compile(r"^\| `--([\w.-]+)(=\S+)?` \| `\w+` \| `([^`]+)` \|", re.MULTILINE)


def load(*argv: str) -> Settings:
    return load_settings(Settings, argv, Manual("sms-exporter", "Test.", {0: "Success."}))


def test_an_option_has_its_documented_default() -> None:
    table, _, _ = PAGE.read_text(encoding="utf-8").partition("\n## ")
    rows = ROW.findall(table)
    assert len(rows) > 30
    values = [f"--{flag}={default}" for flag, value, default in rows if value]
    switches = [f"--{'' if default == 'true' else 'no-'}{flag}" for flag, value, default in rows if not value]
    assert load(*values, *switches).model_dump() == load().model_dump()


BOUNDS = [
    ("api.concurrency", "1", "64", "0", "65"),
    ("api.connect-timeout", "1ms", "365d", "0s", "366d"),
    ("api.read-timeout", "1ms", "365d", "0s", "366d"),
    ("api.max-response-size", "1", None, "0", None),
    ("api.rate-limit", "0.01", "1e6", "0", "inf"),
    ("config.auto-reload-interval", "1s", "365d", "999ms", "366d"),
    ("web.max-requests", "0", None, "-1", None),
    ("limits.series", "0", None, "-1", None),
    ("collector.details-polls", "1", "1000", "0", "1001"),
    ("account.name", "a", "a" * 255, None, "a" * 256),
]


@pytest.mark.parametrize(("flag", "least", "most", "below", "above"), BOUNDS, ids=[bounds[0] for bounds in BOUNDS])
def test_the_value_of_an_option_has_bounds(
    flag: str, least: str, most: str | None, below: str | None, above: str | None
) -> None:
    for value in filter(None, (least, most)):
        load(f"--{flag}={value}")
    for value in filter(None, (below, above)):
        with pytest.raises(ConfigurationError) as error:
            load(f"--{flag}={value}")
        assert error.value.lines[0].startswith(f"--{flag}: ")


def test_options_cannot_be_changed() -> None:
    loaded = load()
    for group, option, value in ((loaded, "poll", PollSettings()), (loaded.poll, "interval", 5.0)):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(group, option, value)


def test_a_poll_interval_is_at_least_a_second() -> None:
    assert load("--poll.interval=1s").poll.interval == 1
    with pytest.raises(ConfigurationError, match="of 1s or more"):
        load("--poll.interval=999ms")


@pytest.mark.parametrize(
    ("interval", "timeout", "stale_after"),
    [
        ("1s", 10, 300),
        ("10s", 10, 300),
        ("11s", 11, 300),
        ("60s", 60, 300),
        ("61s", 60, 300),
        ("100s", 60, 300),
        ("2m", 60, 360),
    ],
)
def test_timeout_and_staleness_follow_the_interval(interval: str, timeout: float, stale_after: float) -> None:
    poll = PollSettings.model_validate({"interval": interval})
    assert (poll.timeout, poll.stale_after) == (timeout, stale_after)


def test_a_timeout_is_at_most_the_interval() -> None:
    assert load("--poll.interval=30s", "--poll.timeout=30s").poll.timeout == 30
    with pytest.raises(ConfigurationError, match=r"\(30001ms|30s1ms\) is above"):
        load("--poll.interval=30s", "--poll.timeout=30s1ms")


def test_data_is_not_stale_before_the_next_poll_can_end() -> None:
    assert load("--poll.interval=60s", "--poll.timeout=20s", "--poll.stale-after=80s").poll.stale_after == 80
    with pytest.raises(ConfigurationError, match="write 1m20s or more"):
        load("--poll.interval=60s", "--poll.timeout=20s", "--poll.stale-after=79s")


@pytest.mark.parametrize(
    ("region", "instead"),
    [
        ("cn-north-1", "did you mean cn-north-4"),
        ("cn-east-3", "for this region use cn-north-4"),
        ("eu-west-101", "for this region use ap-southeast-3"),
    ],
)
def test_a_region_without_the_api_is_an_error_that_names_the_one_to_use(region: str, instead: str) -> None:
    with pytest.raises(ConfigurationError, match=instead):
        load(f"--api.region={region}")


@pytest.mark.parametrize(
    ("api", "url"),
    [
        ({}, ""),
        ({"region": "ru-moscow-1"}, "https://sms-api.ru-moscow-1.myhuaweicloud.com"),
        ({"region": "ru-moscow-1", "endpoint": "https://sms.example.com/"}, "https://sms.example.com"),
    ],
)
def test_the_endpoint_takes_precedence_over_the_region(api: dict[str, str], url: str) -> None:
    assert ApiSettings.model_validate(api).url == url


def test_filters_are_sent_as_the_api_writes_them() -> None:
    filters = account(filter={"connected": True, "is_consistency_result_exist": False, "name": "Ä"}).filter
    assert filters.query() == {"connected": "true", "is_consistency_result_exist": "false", "name": "Ä"}
    assert account().filter.query() == {}


@pytest.mark.parametrize(
    ("web", "links", "routes"),
    [
        ({}, "", ""),
        ({"external_url": "https://example.com/sms/"}, "/sms", "/sms"),
        ({"external_url": "https://example.com/sms", "route_prefix": "/"}, "/sms", ""),
        ({"external_url": "https://example.com"}, "", ""),
        ({"route_prefix": "/a/"}, "/a", "/a"),
    ],
)
def test_links_have_the_prefix_of_the_external_url_and_routes_their_own(
    web: dict[str, str], links: str, routes: str
) -> None:
    read = WebSettings.model_validate(web)
    assert (read.link_prefix, read.path_prefix) == (links, routes)


@pytest.mark.parametrize("path", ["/", "/probe", "/-/x", "/-/", "/servers", "/servers.csv", "/migrations.csv"])
def test_the_metrics_have_a_path_that_nothing_else_uses(path: str) -> None:
    assert WebSettings(telemetry_path="/self-metrics").telemetry_path == "/self-metrics"
    with pytest.raises(ValidationError, match="already in use"):
        WebSettings(telemetry_path=path)


@pytest.mark.parametrize("path", ["metrics", "", "/a b", "/a?b", "/a#b", "/a%b", "/a{b}"])
def test_a_path_begins_with_a_slash_and_has_no_special_characters(path: str) -> None:
    for option in ("telemetry_path", "route_prefix"):
        with pytest.raises(ValidationError, match="a path that begins with /"):
            WebSettings.model_validate({option: path})


@pytest.mark.parametrize(
    ("groups", "connection", "is_same_list"),
    [
        ({}, True, True),
        ({"poll": {"interval": "5m"}, "limits": {"series": 5}}, True, True),
        ({"auth": {"token": "other"}}, False, True),
        ({"api": {"endpoint": "http://127.0.0.1:9", "concurrency": 5}}, False, True),
        ({"api": {"endpoint": "http://127.0.0.1:10"}}, False, False),
        ({"filter": {"state": "error"}}, False, False),
    ],
)
def test_an_account_keeps_its_connection_and_its_list_if_the_options_of_them_are_the_same(
    groups: Mapping[str, Mapping[str, object]], connection: bool, is_same_list: bool
) -> None:
    before, after = account(), account(**groups)
    assert same_connection(before, after) == connection
    assert same_list(before, after) == is_same_list


def test_options_that_need_a_restart_keep_their_value_and_are_named() -> None:
    before = settings(web={"max_requests": 5}, log={"level": "info"})
    after = settings(web={"max_requests": 6, "telemetry_path": "/m"}, log={"level": "debug"}, poll={"interval": "5m"})
    applied, waiting = without_fixed(before, after)
    assert waiting == ("--web.telemetry-path", "--web.max-requests")
    assert (applied.web, applied.log.level, applied.poll.interval) == (before.web, "debug", 300)
    assert {*AccountSettings.model_fields, "collector", "log"} <= LIVE
    assert without_fixed(before, before) == (before, ())


def test_an_account_of_the_list_inherits_what_it_does_not_set() -> None:
    tree = Settings.model_validate(
        {
            "api": {"region": "cn-north-4", "concurrency": 3, "paging": "pages"},
            "auth": {"token": "general"},
            "poll": {"interval": "5m"},
            "filter": {"state": "error"},
            "limits": {"series": 7},
            "iam": {"endpoint": "https://iam.example.com"},
            "accounts": [
                {"name": "one"},
                {"name": "two", "api": {"endpoint": "http://127.0.0.1:9", "paging": "auto"}, "auth": {"token": "own"}},
            ],
        }
    )
    one, two = tree.targets()
    for group in ("api", "iam", "auth", "poll", "filter", "limits"):
        assert getattr(one, group) == getattr(tree, group)
    assert (two.api.region, two.api.concurrency, two.api.paging) == (None, 3, "auto")
    assert two.auth == AuthSettings.model_validate({"token": "own"})
    assert (two.iam, two.poll) == (tree.iam, tree.poll)
