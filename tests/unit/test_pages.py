"""What the pages of polls and configuration tell."""

import asyncio

import pytest

from exporter.errors import AuthError
from exporter.polling.state import MAX_POLLS, Account, PageRead, Poll
from exporter.settings import Settings
from exporter.web.pages.configuration import configuration_view
from exporter.web.pages.overview import Overviews
from exporter.web.pages.polls import SHOWN_POLLS, SHOWN_READS, polls_view
from support import NOW, account, server, settings, snapshot


def test_polls_are_shown_newest_first_and_their_slowest_pages() -> None:
    polled = Account(account())
    reads = tuple(PageRead(200 * number, 200, "", float(number), rows=200) for number in range(SHOWN_READS + 2))
    unanswered = PageRead(9000, 200, "", 0.1, failure="timeout")
    for number in range(MAX_POLLS + 5):
        polled.state.record(Poll(NOW + number, 1.0 + number, 13, reads=(*reads, unanswered)))
    (shown,) = polls_view([polled])
    assert [view.poll.started_at - NOW for view in shown.polls] == [54 - number for number in range(SHOWN_POLLS)]
    assert shown.more == MAX_POLLS - SHOWN_POLLS
    first = shown.polls[0]
    assert (first.share, first.rows, first.more_reads) == (100, 2400, 3)
    assert [read.duration for read in first.reads] == [0.1, *(float(number) for number in range(11, 2, -1))]
    assert len(polls_view([polled], "default")[0].polls) == MAX_POLLS
    assert polls_view([polled], "nobody") == ()


def test_a_remembered_failure_keeps_nothing_that_it_passed_through() -> None:
    polled = Account(account())
    error = AuthError("refused")
    error.__cause__ = error.__context__ = ValueError("a page")
    with pytest.raises(AuthError):
        raise error
    polled.state.record(Poll(NOW, 1.0, 1, error))
    kept = polled.state.history[-1].error
    assert kept is not None
    assert (kept.__traceback__, kept.__cause__, kept.__context__) == (None, None, None)


def shown(tree: Settings) -> dict[str, str | None]:
    return {row.name: row.value for section in configuration_view(tree) for row in section.rows}


@pytest.mark.parametrize(
    "auth",
    [
        {"token": "sesame"},
        {"user_name": "u", "password": "sesame", "domain_name": "d"},
        {"access_key": "sesame", "secret_key": "sesame", "security_token": "sesame"},
    ],
)
def test_no_secret_is_shown_but_that_there_is_one(auth: dict[str, str]) -> None:
    found = shown(settings(auth=auth))
    secrets = {f"auth.{name.replace('_', '-')}" for name, value in auth.items() if value == "sesame"}
    assert {key for key, value in found.items() if value == "<secret>"} == secrets
    assert "sesame" not in str(found)


def test_user_and_password_of_a_url_are_left_out() -> None:
    found = shown(settings(api={"endpoint": "http://127.0.0.1:9", "proxy": "http://me:sesame@proxy:3128"}))
    assert found["api.proxy"] == "http://<secret>@proxy:3128"


def test_values_are_written_as_their_options_take_them() -> None:
    found = shown(settings(poll={"interval": "90s"}, api={"endpoint": "http://x", "max_response_size": "32MiB"}))
    assert found["poll.interval"] == "1m30s"
    assert found["api.max-response-size"] == "32.0MiB"
    assert found["api.insecure-skip-verify"] == "false"
    assert found["web.listen-address"] == ":10058"
    assert found["api.region"] is None
    assert found["web.config.file"] is None


def test_what_differs_from_its_default_is_marked() -> None:
    sections = configuration_view(settings(poll={"interval": "90s"}))
    changed = {row.name for section in sections for row in section.rows if row.changed}
    assert changed == {"api.endpoint", "poll.interval"}


def test_each_account_shows_the_options_it_is_polled_with() -> None:
    tree = settings(poll={"interval": "90s"}).model_dump(exclude_unset=True)
    tree["poll"] = {"interval": "90s"}
    tree["accounts"] = [{"name": "one"}, {"name": "two", "poll": {"interval": "30s"}}]
    own, *accounts = configuration_view(Settings.model_validate(tree))
    assert own.account is None
    intervals = {
        section.account: row.value for section in accounts for row in section.rows if row.name == "poll.interval"
    }
    assert intervals == {"one": "1m30s", "two": "30s"}


async def test_people_who_look_at_the_same_lists_cost_one_look_at_the_servers() -> None:
    known = [snapshot(server("a", state="error"), server("b", state="replicate"))]
    overviews = Overviews()
    seen = await asyncio.gather(*(overviews.of(known) for _ in range(5)))
    assert all(found is seen[0] for found in seen)
    assert (seen[0].in_trouble, seen[0].running, seen[0].fleet.servers) == (1, 1, 2)
    assert (await overviews.of([snapshot(server("a"))])).fleet.servers == 1
    assert (await overviews.of([])).fleet.servers == 0
