"""Tokens and secrets that expire, are replaced, or are refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from credentials import HOUR, issued, options_of
from exporter.auth.password import REFUSED_PASSWORD_PAUSE_SECONDS
from exporter.auth.renewal import EXPIRED_WHEN_NEW_SECONDS
from exporter.errors import AuthError, PollError
from exporter.http.transport import Request
from exporter.polling.connections import Runtime, account_credentials
from exporter.polling.lockout import BACKOFF_SECONDS
from exporter.polling.waiting import CREDENTIALS_CHECK_SECONDS
from exporter.settings import Settings
from exporter.simulator import AccessKey, Simulator
from programs import serving
from support import NOW, NOWHERE, FakeClock, Unobserved, account, exporting, fetch, next_poll, pass_time, scrape

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def test_a_token_is_renewed_before_it_expires(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=3, clock=clock, token_lifetime=HOUR) as simulator:
        auth = options_of(simulator, "password, project", tmp_path)
        async with exporting(simulator, clock, auth=auth) as service:
            for _ in range(100):
                await next_poll(clock)
            seen = await scrape(service.urls[0])
        requested = [request for request in simulator.requests if request.api == "iam"]
        assert not any(request.status == 401 for request in simulator.requests)
    assert seen.total("exporter_poll_failures_total") == 0
    assert len(requested) == 3


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
async def test_a_token_that_expires_mid_poll_is_renewed_once_without_a_failed_poll(
    after: int, clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=1000, clock=clock) as simulator:
        simulator.fleet.freeze()
        auth = options_of(simulator, "password, project", tmp_path)
        async with exporting(simulator, clock, auth=auth) as service:
            simulator.faults.add(f"token-expiry,after={after}")
            await next_poll(clock)
            seen = await scrape(service.urls[0])
        requested = [request for request in simulator.requests if request.api == "iam"]
    assert (seen.value("up"), seen.value("exporter_polls_total")) == (1, 2)
    assert seen.total("exporter_poll_failures_total") == 0
    assert len(requested) == 2


@pytest.mark.parametrize("way", ["token file", "access key files"])
async def test_a_rotated_secret_file_needs_no_restart_and_fails_no_poll(
    way: str, clock: FakeClock, tmp_path: Path
) -> None:
    async with (
        Simulator(servers=3, clock=clock) as simulator,
        exporting(simulator, clock, auth=options_of(simulator, way, tmp_path)) as service,
    ):
        if way == "token file":
            simulator.tokens.expire_all()
            new = simulator.tokens.issue(simulator.user, expires_at=clock.time() + HOUR)
            (tmp_path / "token").write_text(new)
        else:
            simulator.keys.add(AccessKey(simulator.access_key.ak, "rotated"))
            (tmp_path / "secret_key").write_text("rotated")
        await next_poll(clock)
        seen = await scrape(service.urls[0])
    assert (seen.value("exporter_polls_total"), seen.total("exporter_poll_failures_total")) == (2, 0)


@pytest.mark.parametrize(
    ("way", "file"), [("token file", "token"), ("password file", "password"), ("access key files", "secret_key")]
)
async def test_a_refused_secret_backs_off_until_its_file_changes(
    way: str, file: str, clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        auth = options_of(simulator, way, tmp_path)
        right = (tmp_path / file).read_text()
        expired = simulator.tokens.issue(simulator.user, expires_at=clock.time() - 1)
        (tmp_path / file).write_text(expired if file == "token" else "wrong")
        async with exporting(simulator, clock, auth=auth) as service:
            first = await scrape(service.urls[0])
            attempts = len(simulator.requests)
            for _ in range(int(BACKOFF_SECONDS / CREDENTIALS_CHECK_SECONDS) - 1):
                clock.advance(await clock.until_asleep())
            await clock.until_asleep()
            assert len(simulator.requests) == attempts
            (tmp_path / file).write_text(right)
            await next_poll(clock)
            assert service.accounts[0].state.up
    reason = {dict(labels)["reason"] for labels, n in first.values("exporter_poll_failures_total").items() if n}
    assert reason == {"auth"}
    assert attempts == 1


@pytest.mark.parametrize("text", ["", "wrong"])
async def test_the_collectors_continue_with_the_polls_when_a_refused_secret_is_replaced(
    text: str, clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        auth = options_of(simulator, "token file", tmp_path)
        right = (tmp_path / "token").read_text()
        (tmp_path / "token").write_text(text)
        collectors = {"errors": True, "task_details": True}
        async with exporting(simulator, clock, auth=auth, collector=collectors) as service:
            await pass_time(clock, 2 * BACKOFF_SECONDS, pollers=3)
            before = await scrape(service.urls[0])
            (tmp_path / "token").write_text(right)
            await pass_time(clock, 2 * CREDENTIALS_CHECK_SECONDS, pollers=3)
            after = await scrape(service.urls[0])
    assert set(before.values("collector_up").values()) == {0}
    assert before.value("up") == 0
    assert set(after.values("collector_up").values()) == {1}
    assert after.value("up") == 1


async def test_wrong_passwords_are_not_sent_in_a_row(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=1000, clock=clock) as simulator:
        simulator.fleet.freeze()
        auth = options_of(simulator, "password file", tmp_path)
        async with exporting(simulator, clock, auth=auth) as service:
            (tmp_path / "password").write_text("wrong")
            # All pages but the first are refused together, and IAM refuses the password that should help.
            simulator.faults.add("token-expiry,after=1")
            await next_poll(clock)
            seen = await scrape(service.urls[0])
        refused = [request for request in simulator.requests if request.api == "iam" and request.status == 401]
    assert seen.value("exporter_poll_failures_total", reason="auth") == 1
    assert len(refused) == 1


@pytest.mark.parametrize("set_by", [HOUR, -HOUR])
async def test_setting_the_wall_clock_does_not_send_a_refused_password_again(
    set_by: float, clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        auth = options_of(simulator, "password file", tmp_path)
        (tmp_path / "password").write_text("wrong")
        api = {"endpoint": simulator.url}
        options = Settings.model_validate({"api": api, "iam": api, "auth": auth})
        runtime = Runtime(clock, {}, NOWHERE)
        sent = []
        async with account_credentials(options.targets()[0], Unobserved(), runtime) as credentials:
            for set_now, passes in ((0, 0), (set_by, 0), (0, REFUSED_PASSWORD_PAUSE_SECONDS)):
                clock.set(set_now)
                clock.advance(passes)
                with pytest.raises(AuthError):
                    await credentials.headers(Request("GET", URL(simulator.url)))
                sent.append(len(simulator.requests))
    assert sent == [1, 1, 2]


async def test_a_failed_renewal_fails_no_poll_while_the_old_token_is_valid_and_is_overdue_from_its_due_time(
    clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=3, clock=clock, token_lifetime=HOUR) as simulator:
        auth = options_of(simulator, "password, account", tmp_path)
        due = clock.time() + HOUR - HOUR / 5
        async with exporting(simulator, clock, auth=auth) as service:
            new = await scrape(service.urls[0])
            simulator.faults.add("server-error,api=iam")
            for _ in range(55):
                await next_poll(clock)
            overdue = await scrape(service.urls[0])
            assert clock.time() > due
            simulator.faults.clear()
            for _ in range(4):
                await next_poll(clock)
            renewed = await scrape(service.urls[0])
    for seen in (new, overdue, renewed):
        assert (seen.value("up"), seen.total("exporter_poll_failures_total")) == (1, 0)
    dues = [seen.value("exporter_credentials_renewal_timestamp_seconds") for seen in (new, overdue, renewed)]
    ends = [seen.value("exporter_credentials_expiration_timestamp_seconds") or 0 for seen in (new, overdue, renewed)]
    assert dues[:2] == [due, due]
    assert dues == [end - HOUR / 5 for end in ends]
    assert ends[2] > ends[1]


async def test_a_clock_ahead_by_more_than_the_life_of_a_token_does_not_request_one_for_each_page(
    clock: FakeClock, tmp_path: Path
) -> None:
    requested, up = [], []
    async with Simulator(servers=1000, clock=clock, token_lifetime=HOUR) as simulator:
        auth = options_of(simulator, "password, account", tmp_path)
        ahead = FakeClock(clock.time() + 2 * HOUR)
        with capture_logs() as logs:
            async with exporting(simulator, ahead, auth=auth, poll={"interval": "1m"}) as service:
                for passing in range(2 * int(EXPIRED_WHEN_NEW_SECONDS / 60)):
                    if passing == 2:
                        simulator.tokens.expire_all()
                    await next_poll(ahead)
                    requested.append(sum(request.api == "iam" for request in simulator.requests))
                    up.append(service.accounts[0].state.up)
                seen = await scrape(service.urls[0])
    assert all(up)
    assert seen.value("exporter_credentials_expiration_timestamp_seconds") is not None
    assert seen.value("exporter_credentials_renewal_timestamp_seconds") is None
    assert requested == [1, 1, 2, 2, 2, 2, 2, 3, 3, 3]
    assert [line["event"] for line in logs].count("new credentials have expired by this machine's clock") == 1


async def test_a_signature_refused_for_the_clock_points_at_the_clock(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        simulator.faults.add("clock-skew=3600")
        auth = options_of(simulator, "access key", tmp_path)
        async with exporting(simulator, clock, auth=auth) as service:
            seen = await scrape(service.urls[0])
            (account,) = service.accounts
    assert seen.value("exporter_poll_failures_total", reason="auth") == 1
    assert seen.value("exporter_api_clock_skew_seconds") == -3600
    assert account.state.last_poll is not None
    assert account.state.last_poll.error is not None
    assert "clock" in account.state.last_poll.error.hint


async def test_accounts_that_share_a_wrong_key_send_it_once_per_back_off(clock: FakeClock, tmp_path: Path) -> None:
    """The API locks a key after more than five refusals in a row, whichever accounts they come from."""
    async with Simulator(servers=3, clock=clock) as simulator:
        auth = options_of(simulator, "access key files", tmp_path)
        right = (tmp_path / "secret_key").read_text()
        (tmp_path / "secret_key").write_text("wrong")
        accounts = [
            {"name": f"account-{number}", "api": {"endpoint": simulator.url}, "auth": auth} for number in range(6)
        ]

        def refusals() -> int:
            return sum(request.status == 401 for request in simulator.requests)

        async def pass_time(until: float) -> None:
            while clock.monotonic() < until:
                clock.advance(await clock.until_asleep(6))
            await clock.until_asleep(6)

        async with exporting(simulator, clock, accounts=accounts) as service:
            assert refusals() == len(simulator.requests) == 1
            assert not any(account.state.up for account in service.accounts)
            seen = await scrape(service.urls[0])
            assert len(seen.values("exporter_poll_failures_total", reason="auth")) == 6
            assert set(seen.values("exporter_poll_failures_total", reason="auth").values()) == {1}
            await pass_time(BACKOFF_SECONDS - 10)
            assert refusals() == 1
            await pass_time(2.5 * BACKOFF_SECONDS)
            assert refusals() == 2
            (tmp_path / "secret_key").write_text(right)
            await pass_time(clock.monotonic() + 2 * CREDENTIALS_CHECK_SECONDS)
            assert all(account.state.up for account in service.accounts)
            assert refusals() == 2


def iam(handler: Callable[[], web.Response]) -> Handler:
    """Return a server that answers logins as the handler does, and lists no servers."""

    async def answer(request: web.Request) -> web.Response:
        return handler() if request.method == "POST" else web.json_response({"count": 0, "source_servers": []})

    return answer


async def headers_with_password(url: str, clock: FakeClock) -> tuple[Mapping[str, str], float | None]:
    """Log in at `url`; return the headers of a request and the time at which the token expires."""
    auth = {"user_name": "u", "domain_name": "d", "password": "s3cret"}
    options = Settings.model_validate({"api": {"endpoint": url}, "iam": {"endpoint": url}, "auth": auth})
    runtime = Runtime(clock, {}, NOWHERE)
    async with account_credentials(options.targets()[0], Unobserved(), runtime) as credentials:
        headers = await credentials.headers(Request("GET", URL(url)))
        return headers, credentials.term.expires_at if credentials.term else None


async def test_an_account_that_is_closed_leaves_no_renewal_behind(clock: FakeClock) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        asked.set()
        await answered.wait()
        return web.Response()

    async with serving(hang) as url:
        auth = {"user_name": "u", "domain_name": "d", "password": "s3cret"}
        options = account(api={"endpoint": url}, iam={"endpoint": url}, auth=auth)
        async with account_credentials(options, Unobserved(), Runtime(clock, {}, NOWHERE)) as credentials:
            waiting = asyncio.create_task(credentials.headers(Request("GET", URL(url))))
            await asked.wait()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answered.set()


async def test_a_token_of_the_maximum_length_is_used(clock: FakeClock) -> None:
    token = "t" * 16_384
    async with serving(iam(lambda: issued(token, "2027-01-16T08:00:00.000000Z"))) as url:
        headers, _ = await headers_with_password(url, clock)
    assert headers["X-Auth-Token"] == token


@pytest.mark.parametrize("expires_at", ["2027-01-15T08:00:00", "2027-01-15T08:00:00Z", "2027-01-15T10:00:00+02:00"])
async def test_an_expiry_without_a_zone_is_utc(
    expires_at: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        async with serving(iam(lambda: issued("t", expires_at))) as url:
            _, expiry = await headers_with_password(url, clock)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert expiry == NOW


@pytest.mark.parametrize(
    "expires_at", ["", "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1e999", "\x1b[2J\n"]
)
async def test_an_absurd_expiry_is_one_clear_line(expires_at: str, clock: FakeClock) -> None:
    async with serving(iam(lambda: issued("t", expires_at))) as url:
        with pytest.raises(PollError, match="IAM sent an expiry that is not a plausible date") as caught:
            await headers_with_password(url, clock)
    assert caught.value.message.isprintable()
    assert "IAM" in caught.value.hint


async def test_a_renewal_that_hangs_fails_no_poll_while_the_old_token_is_valid(
    clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=3, clock=clock, token_lifetime=HOUR) as simulator:
        auth = options_of(simulator, "password, account", tmp_path)
        async with exporting(simulator, clock, auth=auth) as service:
            simulator.faults.add("hang,api=iam")
            for _ in range(55):
                await next_poll(clock)
            seen = await scrape(service.urls[0])
    assert clock.time() > NOW + HOUR - HOUR / 5
    assert (seen.value("up"), seen.total("exporter_poll_failures_total")) == (1, 0)


def secrets_of(simulator: Simulator) -> dict[str, str]:
    user, key = simulator.user, simulator.access_key
    return {"token": simulator.token, "password": user.password, "secret key": key.sk}


@pytest.mark.parametrize("way", ["token", "password, account", "access key"])
async def test_a_gateway_that_repeats_the_request_puts_no_secret_into_logs_or_pages(
    way: str, clock: FakeClock, tmp_path: Path
) -> None:
    async def repeat(request: web.Request) -> web.Response:
        names = ("X-Auth-Token", "Authorization")
        text = f"{(await request.text())[60:]} {[request.headers.get(name) for name in names]}"
        return web.json_response(
            {"error_code": "GW.1", "error_msg": text},
            status=400,
            headers={"X-Request-Id": request.headers.get("X-Auth-Token", "r")},
        )

    async with Simulator(servers=1, clock=clock) as simulator, serving(repeat) as url:
        auth = options_of(simulator, way, tmp_path)
        with capture_logs() as logs:
            async with exporting(simulator, clock, auth=auth, api={"endpoint": url}, iam={"endpoint": url}) as service:
                pages = [await fetch(f"{service.urls[0]}{path}") for path in ("/", "/polls", "/metrics", "/config")]
                (account,) = service.accounts
        shown = f"{logs} {pages} {account.state.last_poll}"
        secrets = secrets_of(simulator).values()
    assert "GW.1" in shown
    assert "[redacted]" in shown
    assert not [secret for secret in secrets if secret in shown or secret[-12:] in shown]
