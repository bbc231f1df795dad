"""The content of the polls, configuration and status pages."""

import asyncio
from pathlib import Path

import pytest

from exporter.blocking import Worker
from exporter.errors import AuthError
from exporter.language import ENGLISH
from exporter.polling.state import MAX_POLLS, Account, PageRead, Poll
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.translation import IN_ENGLISH
from exporter.web.pages.configuration import configuration_view
from exporter.web.pages.fleet import FleetCache
from exporter.web.pages.polls import MAX_SHOWN_POLLS, MAX_SHOWN_READS, build_polls_view
from exporter.web.pages.rendering import Renderer
from support import NOW, account, server, settings, snapshot


def test_the_newest_poll_is_first_and_shows_its_failed_and_slowest_requests() -> None:
    polled = Account(account())
    reads = tuple(PageRead(200 * number, 200, "", float(number), rows=200) for number in range(MAX_SHOWN_READS + 2))
    failed_read = PageRead(9000, 200, "", 0.1, failure="timeout")
    for number in range(MAX_POLLS + 5):
        polled.state.record(Poll(NOW + number, 1.0 + number, 13, reads=(*reads, failed_read)))
    (shown,) = build_polls_view([polled])
    assert [view.poll.started_at - NOW for view in shown.polls] == [54 - number for number in range(MAX_SHOWN_POLLS)]
    assert shown.more == MAX_POLLS - MAX_SHOWN_POLLS
    first = shown.polls[0]
    assert (first.share, first.rows, first.more_reads) == (100, 2400, 3)
    assert [read.duration for read in first.reads] == [0.1, *(float(number) for number in range(11, 2, -1))]
    assert len(build_polls_view([polled], None)[0].polls) == MAX_POLLS


def test_the_error_of_a_kept_poll_references_no_pages() -> None:
    polled = Account(account())
    error = AuthError("refused")
    error.__cause__ = error.__context__ = ValueError("a page")
    with pytest.raises(AuthError):
        raise error
    polled.state.record(Poll(NOW, 1.0, 1, error))
    kept = polled.state.history[-1].error
    assert kept is not None
    assert (kept.__traceback__, kept.__cause__, kept.__context__) == (None, None, None)


def test_bytes_that_are_not_utf8_do_not_break_a_page() -> None:
    polled = Account(account())
    # As aiohttp reads an invalid byte of a header.
    polled.state.record(Poll(NOW, 1.0, 1, AuthError("refused", request_id="id-\udcff")))
    response = Renderer({ENGLISH: IN_ENGLISH}, telemetry_path="/metrics", prefix="").render(
        ENGLISH,
        "polls.html",
        now=NOW,
        refresh=None,
        accounts=build_polls_view([polled]),
        chosen=None,
        other_languages=(),
    )
    assert isinstance(response.body, bytes)
    assert "request_id id-?" in response.body.decode()


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
def test_a_secret_is_shown_only_as_being_set(auth: dict[str, str]) -> None:
    found = shown(settings(auth=auth))
    secrets = {f"auth.{name.replace('_', '-')}" for name, value in auth.items() if value == "sesame"}
    assert {key for key, value in found.items() if value == "<secret>"} == secrets
    assert "sesame" not in str(found)


def test_the_user_and_password_of_a_url_are_hidden() -> None:
    found = shown(settings(api={"endpoint": "http://127.0.0.1:9", "proxy": "http://me:sesame@proxy:3128"}))
    assert found["api.proxy"] == "http://<secret>@proxy:3128"


def test_values_are_written_as_their_options_accept_them() -> None:
    found = shown(settings(poll={"interval": "90s"}, api={"endpoint": "http://x", "max_response_size": "32MiB"}))
    assert found["poll.interval"] == "1m30s"
    assert found["api.max-response-size"] == "32MiB"
    assert found["api.insecure-skip-verify"] == "false"
    assert found["web.listen-address"] == ":10058"
    assert found["api.region"] is None
    assert found["web.config.file"] is None


def test_values_that_differ_from_the_default_are_marked() -> None:
    sections = configuration_view(settings(poll={"interval": "90s"}))
    changed = {row.name for section in sections for row in section.rows if row.changed}
    assert changed == {"api.endpoint", "poll.interval"}


def test_each_account_shows_its_own_options() -> None:
    tree = settings(poll={"interval": "90s"}).model_dump(exclude_unset=True)
    tree["poll"] = {"interval": "90s"}
    tree["accounts"] = [{"name": "one"}, {"name": "two", "poll": {"interval": "30s"}}]
    exporter, *accounts = configuration_view(Settings.model_validate(tree))
    assert exporter.account is None
    intervals = {
        section.account: row.value for section in accounts for row in section.rows if row.name == "poll.interval"
    }
    assert intervals == {"one": "1m30s", "two": "30s"}


def test_each_value_shows_where_it_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sms.yml"
    file.write_text(
        "poll:\n  timeout: 20s\naccounts:\n- name: one\n  api: {endpoint: http://x}\n"
        "- name: two\n  api: {endpoint: http://y}\n  poll: {interval: 30s}\n"
    )
    monkeypatch.setenv("SMS_EXPORTER_LOG_FORMAT", "json")
    tree = load_settings(Settings, [f"--config.file={file}", "--poll.interval=90s"], Manual("", "", {}))
    exporter, one, two = ({row.name: row.source for row in section.rows} for section in configuration_view(tree))
    assert (exporter["config.file"], exporter["log.format"], exporter["log.level"]) == (
        "--config.file",
        "SMS_EXPORTER_LOG_FORMAT",
        "",
    )
    assert (one["api.endpoint"], one["poll.interval"], one["poll.timeout"]) == (
        f"{file} line 5",
        "--poll.interval",
        f"{file} line 2",
    )
    assert two["poll.interval"] == f"{file} line 8"


async def test_concurrent_requests_for_the_same_snapshots_compute_them_once() -> None:
    known = [snapshot(server("a", state="error"), server("b", state="replicate"))]
    cache = FleetCache(Worker())
    seen = await asyncio.gather(*(cache.get(known) for _ in range(5)))
    assert all(found is seen[0] for found in seen)
    assert (seen[0].attention_count, seen[0].migration_count, seen[0].totals.servers) == (1, 1, 2)
    assert (await cache.get([snapshot(server("a"))])).totals.servers == 1
    assert (await cache.get([])).totals.servers == 0
