"""The options: their documented defaults, the bounds of their values, and what is derived from them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.exposition.bodies import Exposition
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.settings import AccountSettings, AuthSettings, PollSettings, Settings
from exporter.settings.tree import LIVE, WebSettings, same_connection, same_list, without_fixed
from exporter.web import create_app
from options import check_bounds, load
from support import FakeClock, account, settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "configuration.md"
ROW = re.compile(r"^\| `--([\w.-]+)(=\S+)?` \| `\w+` \| `([^`]+)` \|", re.MULTILINE)


def test_an_option_has_its_documented_default() -> None:
    table, _, _ = PAGE.read_text(encoding="utf-8").partition("\n## ")
    rows = ROW.findall(table)
    assert len(rows) > 30
    values = [f"--{flag}={default}" for flag, value, default in rows if value]
    switches = [f"--{'' if default == 'true' else 'no-'}{flag}" for flag, value, default in rows if not value]
    assert load(*values, *switches).model_dump() == load().model_dump()


BOUNDS = [
    ("config.auto-reload-interval", "1s", "365d", "999ms", "366d"),
    ("web.max-requests", "0", None, "-1", None),
    ("collector.details-polls", "1", "1000", "0", "1001"),
]


@pytest.mark.parametrize(("flag", "least", "most", "below", "above"), BOUNDS, ids=[bounds[0] for bounds in BOUNDS])
def test_the_value_of_an_option_has_bounds(
    flag: str, least: str, most: str | None, below: str | None, above: str | None
) -> None:
    check_bounds(flag, (least, most), (below, above))


def test_options_cannot_be_changed() -> None:
    loaded = load()
    for group, option, value in ((loaded, "poll", PollSettings()), (loaded.poll, "interval", 5.0)):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(group, option, value)


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


async def test_the_metrics_have_a_path_that_nothing_else_uses() -> None:
    assert WebSettings(telemetry_path="/self-metrics").telemetry_path == "/self-metrics"
    clock = FakeClock()
    generation = Generation(settings(), (), Exposition((), ()))
    app = create_app(lambda: generation, Health(clock, "unknown"), clock, reload=never_reload)
    paths = {resource.canonical for resource in app.router.resources()} - {"/metrics"}
    assert len(paths) > 10
    for path in (*paths, "/-/", "/-/x"):
        with pytest.raises(ValidationError, match=r"already in use|write a path"):
            WebSettings(telemetry_path=path)


async def never_reload() -> Sequence[str]:
    return ()


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


@pytest.mark.parametrize(
    "content",
    [
        {"accounts": "x"},
        {"accounts": ["x"]},
        {"accounts": [{"name": "a", "poll": "x"}], "poll": {"interval": "1m"}},
        {"accounts": [{"name": "a", "poll": {"interval": "1m"}}], "poll": "x"},
    ],
)
def test_something_else_than_a_group_is_an_error_and_no_defect(content: object) -> None:
    with pytest.raises(ValidationError, match="Input should be a valid"):
        Settings.model_validate(content)


class FastSettings(Settings):
    """The options of a command that changes a default."""

    poll: PollSettings = PollSettings.model_validate({"interval": "5s"})


def test_a_group_that_sets_one_option_keeps_the_defaults_that_a_command_changes_for_the_others() -> None:
    for poll, interval in (({}, 5.0), ({"stale_policy": "keep"}, 5.0), ({"interval": "7s"}, 7.0)):
        assert FastSettings.model_validate({"poll": poll}).poll.interval == interval
    assert FastSettings.model_validate({}).poll.interval == 5.0


def test_settings_are_valid_settings() -> None:
    valid = settings(poll={"interval": "5m"})
    assert Settings.model_validate(valid) is valid


def test_the_librarys_own_errors_show_no_value() -> None:
    for content in ({"apis": "s3cret"}, {"api": "s3cret"}, {"api": {"token": "s3cret"}}):
        with pytest.raises(ValidationError) as error:
            Settings.model_validate(content)
        assert "s3cret" not in str(error.value)


def test_the_names_of_accounts_are_unique_and_only_their_own() -> None:
    accounts = [{"name": name, "api": {"region": "cn-north-4"}} for name in ("a", "b")]
    assert len(Settings.model_validate({"accounts": accounts}).targets()) == 2
    with pytest.raises(ValidationError, match="must be unique; used twice: a"):
        Settings.model_validate({"accounts": [*accounts, accounts[0]]})
    with pytest.raises(ValidationError, match=r"account\.name has no effect, because accounts is set"):
        Settings.model_validate({"account": {"name": "c"}, "accounts": accounts})


def test_a_socket_of_systemd_replaces_the_listen_address() -> None:
    assert WebSettings(systemd_socket=True).systemd_socket
    with pytest.raises(ValidationError, match="systemd_socket and listen_address are both set"):
        WebSettings.model_validate({"systemd_socket": True, "listen_address": (":1",)})


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
