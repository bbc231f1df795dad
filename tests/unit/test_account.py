"""How an account is opened, supervised and followed by a new configuration."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from exporter.blocking import Worker
from exporter.errors import AuthError, ConfigurationError
from exporter.polling.account import RESTART_DELAY_SECONDS, AccountRunner, open_account
from exporter.polling.connections import Runtime
from exporter.polling.lockout import CredentialsGuard, Lockout
from exporter.polling.poller import Poller
from exporter.polling.schedule import spread
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, AccountState, Poll
from exporter.settings import AccountSettings, DetailSettings
from support import NOW, NOWHERE, FakeClock, Unobserved, account

ERRORS = DetailSettings(("errors",), 5)


class Listener:
    """Ignores the polls that it is notified of."""

    async def snapshot_read(self, snapshot: Snapshot) -> None: ...
    async def poll_ended(self, *_: object) -> None: ...
    async def collector_read(self, *_: object) -> None: ...


def settings(**groups: Mapping[str, object]) -> AccountSettings:
    return account(**{"auth": {"token": "t"}, **groups})


@contextlib.asynccontextmanager
async def opened(
    clock: FakeClock, options: AccountSettings | None = None, previous: Account | None = None, **how: object
) -> AsyncIterator[AccountRunner]:
    runtime = Runtime(clock, {}, NOWHERE)
    runner = await open_account(options or settings(), Unobserved(), Listener(), runtime, previous, **how)  # type: ignore[arg-type]
    try:
        yield runner
    finally:
        await runner.close()


@pytest.mark.parametrize(
    ("api", "reasons"),
    [
        ({"endpoint": "http://sms.example.com"}, ["http://sms.example.com is not encrypted"]),
        ({"region": "cn-north-4", "insecure_skip_verify": True}, ["api.insecure-skip-verify: no certificate"]),
        ({"region": "cn-north-4"}, []),
    ],
)
async def test_a_connection_that_is_not_protected_is_logged_when_polling_starts(
    api: Mapping[str, object], reasons: list[str], clock: FakeClock
) -> None:
    with capture_logs() as events:
        async with opened(clock, settings(api=api)) as runner:
            runner.start()
    warnings = [event for event in events if event["log_level"] == "warning"]
    assert [event["event"] for event in warnings] == ["connection is not protected"] * len(reasons)
    assert all(event["reason"].startswith(reason) for event, reason in zip(warnings, reasons, strict=True))


class Failing(Poller):
    """A poller whose run ends as a test wants."""

    def __init__(self, clock: FakeClock, run: Callable[[], Awaitable[None]]) -> None:
        guard = CredentialsGuard(Lockout(clock), self.fingerprint)
        super().__init__(Account(account()), self.page, clock, Listener(), guard, Worker())
        self.runs: list[float] = []
        self.defects: list[BaseException] = []
        self._run = run
        self._now = clock.monotonic

    async def fingerprint(self) -> None: ...
    async def page(self, *_: object) -> bytes:
        raise AssertionError

    async def run(self) -> None:
        self.runs.append(self._now())
        await self._run()

    async def fail(self, defect: BaseException) -> Poll:
        self.defects.append(defect)
        raise ValueError("a second defect")


async def fail() -> None:
    raise ZeroDivisionError


async def end() -> None: ...


async def cancel() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("run", "defect"), [(fail, ZeroDivisionError), (end, RuntimeError), (cancel, asyncio.CancelledError)]
)
async def test_a_poller_that_ends_in_any_way_is_counted_logged_and_started_again_after_a_pause(
    run: Callable[[], Awaitable[None]], defect: type[BaseException], clock: FakeClock
) -> None:
    poller = Failing(clock, run)
    runner = AccountRunner(Account(account()), poller, (), clock, b"", contextlib.AsyncExitStack())
    with capture_logs() as logs:
        runner.start()
        for _ in range(2):
            clock.advance(await clock.until_asleep())
        await clock.until_asleep()
        await runner.close()
    assert poller.runs == [0, RESTART_DELAY_SECONDS, 2 * RESTART_DELAY_SECONDS]
    assert [type(each) for each in poller.defects] == [defect] * 3
    errors = [line for line in logs if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["polling stopped because of a defect of the exporter, restarting"] * 3
    assert [(line["account"], type(line["exc_info"])) for line in errors] == [("default", defect)] * 3


async def test_closing_an_account_ends_its_tasks(clock: FakeClock) -> None:
    before = asyncio.all_tasks()
    async with opened(clock, details=ERRORS) as runner:
        with capture_logs() as logs:
            runner.start()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before
    (started,) = [line for line in logs if line["event"] == "polling started"]
    assert (started["account"], started["api"], str(started["auth"])) == (
        "default",
        "http://127.0.0.1:9",
        "token given by options",
    )


@pytest.mark.parametrize("details", [DetailSettings(), ERRORS])
async def test_the_collectors_that_read_other_lists_are_those_of_the_options(
    details: DetailSettings, clock: FakeClock
) -> None:
    async with opened(clock, details=details) as runner:
        assert tuple(reader.collector for reader in runner.readers) == details.collectors
        assert runner.account.details == details


@pytest.mark.parametrize("is_one_of_several", [False, True])
async def test_only_the_polls_of_several_accounts_are_moved(is_one_of_several: bool, clock: FakeClock) -> None:
    several: dict[str, Any] = {"is_one_of_several": True} if is_one_of_several else {}
    async with opened(clock, settings(poll={"interval": "60s"}), **several) as runner:
        runner.start()
        # The pauses before retries are advanced, too: nothing answers.
        while await clock.until_asleep() and not runner.poller.polled.is_set():
            clock.advance(await clock.until_asleep())
        assert runner.account.state.next_poll_at is not None
        shift = runner.account.state.next_poll_at - NOW - 60
    assert shift == pytest.approx(spread("default", 60) if is_one_of_several else 0)


async def test_the_state_is_kept_for_the_same_list_only(clock: FakeClock) -> None:
    previous = Account(settings(), AccountState())
    async with opened(clock, settings(auth={"token": "other"}), previous) as runner:
        assert runner.account.state is previous.state
    async with opened(clock, settings(filter={"state": "error"}), previous) as runner:
        assert runner.account.state is not previous.state
    async with opened(clock) as runner:
        assert runner.account.state is not previous.state


async def test_a_runner_continues_with_the_same_connection_and_other_polls(clock: FakeClock) -> None:
    async with opened(clock) as runner:
        assert runner.with_settings(settings(), DetailSettings()) is runner
        other = runner.with_settings(settings(poll={"interval": "5m"}), DetailSettings())
        assert other is not None
        assert (other.poller, other.account.state) == (runner.poller, runner.account.state)
        assert (other.account.settings.poll.interval, runner.account.settings.poll.interval) == (300, 60)
        assert runner.with_settings(settings(auth={"token": "other"}), DetailSettings()) is None
        assert runner.with_settings(settings(), ERRORS) is None


async def test_another_content_of_the_same_ca_bundle_needs_another_connection(clock: FakeClock, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    options = settings(api={"endpoint": "https://127.0.0.1:9", "ca_file": str(bundle)})
    async with opened(clock, options) as runner:
        assert runner.with_settings(options, DetailSettings()) is runner
        trustme.CA().cert_pem.write_to_path(str(bundle))
        assert runner.with_settings(options, DetailSettings()) is None
        bundle.unlink()
        with pytest.raises(ConfigurationError, match="cannot be read"):
            runner.with_settings(options, DetailSettings())


class Follower:
    """A poller or a reader that keeps the account that it follows."""

    def __init__(self) -> None:
        self.account: Account | None = None

    def follow(self, account: Account) -> None:
        self.account = account


def test_the_poller_and_the_readers_follow_other_settings(clock: FakeClock) -> None:
    followers = [Follower() for _ in range(3)]
    poller, *readers = followers
    runner = AccountRunner(Account(account()), poller, readers, clock, b"", contextlib.AsyncExitStack())  # type: ignore[arg-type]
    runner.follow()
    assert all(follower.account is runner.account for follower in followers)


POD = {
    "HC_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9",
    "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nonexistent",
}


@pytest.mark.parametrize("environ", [{}, *({name: value} for name, value in POD.items())])
@pytest.mark.parametrize("home", [NOWHERE, Path("/" + "x" * 300), None])
async def test_an_account_without_credentials_is_an_error_that_lists_the_places(
    home: Path | None, environ: dict[str, str], clock: FakeClock
) -> None:
    options = account(auth={"metadata_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(ConfigurationError) as error:
        await open_account(options, Unobserved(), Listener(), Runtime(clock, environ, home))
    (line,) = error.value.lines
    file = f"no file {home}/.huaweicloud/credentials (or " if home else "no home directory, and no "
    refused = "the connection to 127.0.0.1 failed: Connection refused"
    assert line.startswith(
        "account default: no credentials found: no option auth.*, no variable of the SDK, Terraform or OpenStack, "
    )
    assert file in line
    assert f"no ECS metadata service at http://127.0.0.1:9 ({refused}), no HC_CONTAINER_CREDENTIALS_FULL_URI" in line


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999", "ftp://host", "host", "https://", "http://ho\\st"])
async def test_an_address_of_the_identity_of_a_pod_that_is_no_url_is_one_line(url: str, clock: FakeClock) -> None:
    options = account(auth={"metadata_endpoint": "http://127.0.0.1:9"})
    environ = POD | {"HC_CONTAINER_CREDENTIALS_FULL_URI": url}
    with pytest.raises(ConfigurationError, match="HC_CONTAINER_CREDENTIALS_FULL_URI is not a URL; set HC_CONTAINER"):
        await open_account(options, Unobserved(), Listener(), Runtime(clock, environ, NOWHERE))


async def test_an_unreadable_secret_is_named_by_its_option(clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t")
    async with opened(clock, account(auth={"token_file": str(file)})) as runner:
        assert runner.account.credentials is not None
        await runner.account.credentials.check()
        file.unlink()
        with pytest.raises(AuthError, match=f"^auth.token-file: {file} cannot be read: No such file or directory$"):
            await runner.account.credentials.check()
