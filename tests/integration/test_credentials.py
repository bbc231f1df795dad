"""Every kind of credentials, against the simulator, which checks tokens and signatures as the cloud does."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdksms.v3 import ListServersRequest, SmsClient  # type: ignore[import-untyped]
from structlog.testing import capture_logs
from yarl import URL

from exporter.auth.password import REFUSED_PASSWORD_PAUSE_SECONDS
from exporter.auth.renewal import EXPIRED_WHEN_NEW_SECONDS, RenewingProvider
from exporter.auth.secret import Secret, SecretFile
from exporter.auth.temporary_key import EcsMetadata, PodIdentity
from exporter.errors import AuthError, ConfigurationError, PollError, ServerFault, Throttled
from exporter.http.transport import Request
from exporter.polling.connections import Runtime, account_credentials, account_session, account_transport
from exporter.polling.lockout import BACKOFF_SECONDS
from exporter.polling.poller import CREDENTIALS_CHECK_SECONDS
from exporter.settings import ApiSettings, Settings
from exporter.simulator import AccessKey, Simulator
from programs import serving
from support import NOW, NOWHERE, FakeClock, Scrape, Unobserved, exporting, fetch, next_poll, scrape

HOUR = 3600.0

Handler = Callable[[web.Request], Awaitable[web.Response]]


def options_of(simulator: Simulator, way: str, folder: Path) -> dict[str, object]:
    """Return the options for one kind of credentials, with its secrets in files if `way` says so."""
    user, key = simulator.user, simulator.access_key
    password = {"user_name": user.name, "domain_name": user.domain}
    secrets = {"token": simulator.token, "password": user.password, "access_key": key.ak, "secret_key": key.sk}
    files = {}
    for name, value in secrets.items():
        files[name] = folder / name
        files[name].write_text(f"{value}\n")
    ways: dict[str, dict[str, object]] = {
        "token": {"token": simulator.token},
        "token file": {"token_file": files["token"]},
        "password, project": {**password, "password": user.password, "project_name": user.project},
        "password, account": {**password, "password": user.password},
        "password file": {**password, "password_file": files["password"], "project_name": user.project},
        "access key": {"access_key": key.ak, "secret_key": key.sk},
        "access key with ids": {"access_key": key.ak, "secret_key": key.sk, "project_id": "p1", "domain_id": "d1"},
        "access key files": {"access_key_file": files["access_key"], "secret_key_file": files["secret_key"]},
    }
    return ways[way]


async def seen_with(
    simulator: Simulator,
    clock: FakeClock,
    auth: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    home: Path = NOWHERE,
) -> Scrape:
    async with exporting(simulator, clock, auth=auth, environ=environ, home=home) as service:
        return await scrape(service.urls[0])


@pytest.mark.parametrize(
    "way",
    [
        "token", "token file", "password, project", "password, account", "password file", "access key",
        "access key with ids", "access key files",
    ],
)  # fmt: skip
async def test_every_kind_that_options_describe_authenticates(way: str, clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=450, clock=clock) as simulator:
        seen = await seen_with(simulator, clock, options_of(simulator, way, tmp_path))
    assert (seen.value("up"), seen.total("source_servers")) == (1, 450)


async def test_filters_with_any_character_are_signed_as_they_are_sent(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=5, clock=clock) as simulator:
        name = "db/1 & co=ä~漢?#+%"
        simulator.fleet.override(simulator.fleet.ids[2], name=name)
        auth = options_of(simulator, "access key", tmp_path)
        async with exporting(simulator, clock, auth=auth, filter={"name": name}) as service:
            seen = await scrape(service.urls[0])
    assert seen.label_values("source_server_info", "name") == [name]


async def test_the_official_client_lists_the_whole_fleet_of_the_simulator() -> None:
    async with Simulator(servers=450) as simulator:

        def listed() -> set[str]:
            credentials = BasicCredentials(simulator.access_key.ak, simulator.access_key.sk, "project")
            client = SmsClient.new_builder().with_credentials(credentials).with_endpoint(simulator.url).build()
            ids: set[str] = set()
            while page := client.list_servers(ListServersRequest(limit=200, offset=len(ids))).source_servers:
                ids |= {server.id for server in page}
            return ids

        assert await asyncio.to_thread(listed) == set(simulator.fleet.ids)


ENVIRONMENTS = (
    ("HUAWEICLOUD_SDK_AK", {"HUAWEICLOUD_SDK_AK": "{ak}", "HUAWEICLOUD_SDK_SK": "{sk}"}),
    ("CLOUD_SDK_AK", {"CLOUD_SDK_AK": "{ak}", "CLOUD_SDK_SK": "{sk}"}),
    ("HW_ACCESS_KEY", {"HW_ACCESS_KEY": "{ak}", "HW_SECRET_KEY": "{sk}"}),
    ("HW_AUTH_TOKEN", {"HW_AUTH_TOKEN": "{token}"}),
    (
        "HW_USER_NAME",
        {
            "HW_USER_NAME": "{user}",
            "HW_USER_PASSWORD": "{password}",
            "HW_DOMAIN_NAME": "{domain}",
            "HW_PROJECT_NAME": "{project}",
            "HW_AUTH_URL": "{url}/v3",
        },
    ),
    ("OS_ACCESS_KEY", {"OS_ACCESS_KEY": "{ak}", "OS_SECRET_KEY": "{sk}"}),
    (
        "OS_USERNAME",
        {
            "OS_USERNAME": "{user}",
            "OS_PASSWORD": "{password}",
            "OS_USER_DOMAIN_NAME": "{domain}",
            "OS_AUTH_URL": "{url}",
        },
    ),
)


def filled(variables: Mapping[str, str], simulator: Simulator) -> dict[str, str]:
    user, key = simulator.user, simulator.access_key
    values = {
        "ak": key.ak, "sk": key.sk, "token": simulator.token, "user": user.name, "password": user.password,
        "domain": user.domain, "project": user.project, "url": simulator.url,
    }  # fmt: skip
    return {name: value.format(**values) for name, value in variables.items()}


def tree(simulator: Simulator, **auth: object) -> Settings:
    return Settings.model_validate(
        {"api": {"endpoint": simulator.url}, "auth": {"metadata_endpoint": "http://127.0.0.1:9", **auth}},
    )


async def source_of(options: Settings, runtime: Runtime) -> str:
    """Return what the account would authenticate with."""
    async with account_credentials(options.targets()[0], Unobserved(), runtime) as credentials:
        return credentials.source


@pytest.mark.parametrize(("shown", "variables"), ENVIRONMENTS, ids=[shown for shown, _ in ENVIRONMENTS])
async def test_the_variables_of_other_tools_authenticate(
    shown: str, variables: dict[str, str], clock: FakeClock
) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        environ = filled(variables, simulator)
        assert (await seen_with(simulator, clock, {}, environ)).value("up") == 1
        source = await source_of(tree(simulator), Runtime(clock, environ, NOWHERE))
    assert shown in source
    assert not any(secret in source for secret in (simulator.token, simulator.access_key.sk, simulator.user.password))


PROFILE = "[global]\nak = {ak}\nsk = wrong\n[basic]\nak = {ak}\nsk = {sk}\nproject_id = p1\n"


async def test_the_basic_section_of_the_sdks_credentials_file_authenticates(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        (tmp_path / ".huaweicloud").mkdir()
        file = tmp_path / ".huaweicloud" / "credentials"
        file.write_text(PROFILE.format(ak=simulator.access_key.ak, sk=simulator.access_key.sk))
        assert (await seen_with(simulator, clock, {}, home=tmp_path)).value("up") == 1
        elsewhere = tmp_path / "elsewhere"
        file.rename(elsewhere)
        environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(elsewhere)}
        assert (await seen_with(simulator, clock, {}, environ)).value("up") == 1
        source = await source_of(tree(simulator), Runtime(clock, environ, NOWHERE))
    assert f"section [basic] of {elsewhere}" in source


@pytest.mark.parametrize("tokens", [True, False])
async def test_keys_of_the_metadata_service_authenticate_and_are_renewed_without_a_failed_poll(
    clock: FakeClock, *, tokens: bool
) -> None:
    async with Simulator(servers=3, clock=clock, key_lifetime=HOUR, metadata_tokens=tokens) as simulator:
        auth = {"metadata_endpoint": simulator.url}
        async with exporting(simulator, clock, auth=auth) as service:
            for _ in range(150):
                await next_poll(clock)
            seen = await scrape(service.urls[0])
        asked = [request for request in simulator.requests if request.path.endswith("securitykey")]
    assert (seen.value("up"), seen.total("exporter_poll_failures_total")) == (1, 0)
    assert 3 <= len(asked) <= 6
    expiry = seen.value("exporter_credentials_expiration_timestamp_seconds")
    renewal = seen.value("exporter_credentials_renewal_timestamp_seconds")
    assert expiry is not None
    assert renewal is not None
    assert expiry > renewal > clock.time()


async def test_requests_to_the_metadata_service_use_no_proxy(clock: FakeClock) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        options = tree(simulator, metadata_endpoint=simulator.url)
        source = await source_of(options, Runtime(clock, {"http_proxy": "http://127.0.0.1:9"}, NOWHERE))
    assert "agency" in source


async def test_keys_of_a_pods_identity_authenticate(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        key = simulator.keys.issue_temporary(expires_at=clock.time() + HOUR)

        async def identity(request: web.Request) -> web.Response:
            assert request.headers["Authorization"] == "pod-token"
            return web.json_response(
                {
                    "credential": {
                        "access_key_id": key.ak,
                        "secret_access_key": key.sk,
                        "security_token": key.security_token,
                        "expiration": "2027-01-15T09:00:00.000000Z",
                    },
                },
            )

        token_file = tmp_path / "token"
        token_file.write_text("pod-token")
        async with serving(identity) as url:
            environ = {
                "HC_CONTAINER_CREDENTIALS_FULL_URI": url,
                "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file),
            }
            auth = {"metadata_endpoint": "http://127.0.0.1:9"}
            assert (await seen_with(simulator, clock, auth, environ)).value("up") == 1


STATUSES = [(408, ServerFault), (429, Throttled), (500, ServerFault), (502, ServerFault), (404, AuthError)]


@contextlib.asynccontextmanager
async def temporary_keys(service: str, handler: Handler, folder: Path) -> AsyncIterator[EcsMetadata | PodIdentity]:
    """Return an issuer of keys whose every answer comes from the handler."""
    (folder / "token").write_text("pod-token")
    options, clock = ApiSettings(), FakeClock()
    async with serving(handler) as url, account_session(options) as session:
        transport = account_transport(options, session, "metadata", Runtime(clock, {}, NOWHERE), Unobserved())
        if service == "metadata":
            yield EcsMetadata(url.rstrip("/"), transport, clock)
        else:
            yield PodIdentity(url, Secret("token", SecretFile("token", folder / "token")), transport, clock)


@pytest.mark.parametrize("service", ["metadata", "pod identity"])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
async def test_a_fault_of_an_issuer_of_temporary_keys_that_may_pass_is_not_a_refusal(
    service: str, status: int, kind: type[PollError], tmp_path: Path
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"}, text="half a k3y")

    async with temporary_keys(service, answer, tmp_path) as issuer:
        with pytest.raises(PollError) as caught:
            await issuer.issue()
    assert (type(caught.value), caught.value.status) == (kind, status)
    assert caught.value.retry_after == (None if kind is AuthError else 7)
    assert str(status) in caught.value.message
    assert "k3y" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(("unavailable", "kind"), [("PUT", ServerFault), ("", AuthError)])
async def test_a_key_refused_for_lack_of_a_token_that_could_not_be_obtained_is_not_a_refusal(
    unavailable: str, kind: type[PollError], tmp_path: Path
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503 if request.method == unavailable else 404 if request.method == "PUT" else 401)

    async with temporary_keys("metadata", answer, tmp_path) as issuer:
        with pytest.raises(PollError) as caught:
            await issuer.issue()
    assert type(caught.value) is kind


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


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"HUAWEICLOUD_SDK_AK": "x"}, ["HUAWEICLOUD_SDK_AK is set, but HUAWEICLOUD_SDK_SK is not"]),
        ({"HW_SECRET_KEY": "x"}, ["HW_SECRET_KEY is set, but HW_ACCESS_KEY is not"]),
        ({"OS_USERNAME": "x", "OS_PASSWORD": "y"}, ["OS_USERNAME is set, but", "OS_USER_DOMAIN_NAME"]),
        ({}, ["no credentials found", "metadata service", "--auth.access-key-file", "--auth.token-file"]),
    ],
)
async def test_missing_credentials_are_one_line_that_lists_the_places(
    environ: dict[str, str], parts: list[str], clock: FakeClock
) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        with pytest.raises(ConfigurationError) as caught:
            await source_of(tree(simulator), Runtime(clock, environ, NOWHERE))
    (line,) = caught.value.lines
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[basic]\nak = only-half", "no ak and sk"),
        ("[other]\nak = a\nsk = b", "no ak and sk"),
        ("ak = s3cret without a section", "not an INI file"),
        ("\xff\xfe", "not an INI file"),
    ],
)
async def test_an_unusable_credentials_file_is_named_without_its_content(
    text: str, part: str, clock: FakeClock, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    async with Simulator(servers=1, clock=clock) as simulator:
        environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(file)}
        with pytest.raises(ConfigurationError) as caught:
            await source_of(tree(simulator), Runtime(clock, environ, NOWHERE))
    assert str(file) in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert part in str(caught.value)


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


@pytest.mark.parametrize(
    ("way", "file"), [("token file", "token"), ("password file", "password"), ("access key files", "secret_key")]
)
async def test_a_fingerprint_changes_with_the_secret_and_is_not_the_secret(
    way: str, file: str, clock: FakeClock, tmp_path: Path
) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        options = tree(simulator, **options_of(simulator, way, tmp_path)).targets()[0]
        async with (
            account_credentials(options, Unobserved(), Runtime(clock, {}, NOWHERE)) as credentials,
            account_credentials(options, Unobserved(), Runtime(clock, {}, NOWHERE)) as of_another_account,
        ):
            before = await credentials.fingerprint()
            assert before == await of_another_account.fingerprint()
            secret = (tmp_path / file).read_text().strip()
            (tmp_path / file).write_text("another secret")
            after = await credentials.fingerprint()
            (tmp_path / file).unlink()
            unreadable = await credentials.fingerprint()
    assert before is not None
    assert secret not in before
    assert after not in (before, None)
    assert unreadable is None


async def test_the_fingerprint_of_a_temporary_key_survives_its_renewal(clock: FakeClock, tmp_path: Path) -> None:
    tokens = itertools.count()

    async def answer(_: web.Request) -> web.Response:
        key = {"access": "AK", "secret": "SK", "securitytoken": str(next(tokens)), "expires_at": "2027-01-15T09:00:00Z"}
        return web.json_response({"credential": key})

    for service in ("metadata", "pod identity"):
        async with temporary_keys(service, answer, tmp_path) as issuer:
            provider = RenewingProvider(issuer, clock)
            before = await provider.fingerprint()
            assert await provider.renew(await provider.get())
            assert before == await provider.fingerprint() is not None


async def test_accounts_that_share_a_wrong_key_send_it_once_per_back_off(clock: FakeClock, tmp_path: Path) -> None:
    """The API locks a key after five refusals in a row, whichever accounts they come from."""
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


def issued(token: str, expires_at: str) -> web.Response:
    return web.json_response({"token": {"expires_at": expires_at}}, status=201, headers={"X-Subject-Token": token})


async def headers_with_password(url: str, clock: FakeClock) -> tuple[Mapping[str, str], float | None]:
    """Log in at `url`; return the headers of a request and the time at which the token expires."""
    auth = {"user_name": "u", "domain_name": "d", "password": "s3cret"}
    options = Settings.model_validate({"api": {"endpoint": url}, "iam": {"endpoint": url}, "auth": auth})
    runtime = Runtime(clock, {}, NOWHERE)
    async with account_credentials(options.targets()[0], Unobserved(), runtime) as credentials:
        headers = await credentials.headers(Request("GET", URL(url)))
        return headers, credentials.term.expires_at if credentials.term else None


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


@pytest.mark.parametrize("variable", ["OS_AUTH_URL", "HW_AUTH_URL", "HUAWEICLOUD_SDK_IAM_ENDPOINT"])
async def test_the_iam_option_wins_over_the_environment_so_that_no_password_is_sent_elsewhere(
    variable: str, clock: FakeClock
) -> None:
    elsewhere: list[str] = []

    async def other(request: web.Request) -> web.Response:
        elsewhere.append(await request.text())
        return web.Response(status=500)

    async with Simulator(servers=1, clock=clock) as simulator, serving(other) as url:
        environ = filled(
            {"OS_USERNAME": "{user}", "OS_PASSWORD": "{password}", "OS_DOMAIN_NAME": "{domain}"}, simulator
        )
        assert (await seen_with(simulator, clock, {}, {**environ, variable: url})).value("up") == 1
    assert elsewhere == []


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        ({}, {"project": {"id": "of-env"}}),
        ({"project_id": "of-option"}, {"project": {"id": "of-option"}}),
        ({"project_name": "named"}, {"project": {"name": "named", "domain": {"name": "d"}}}),
        ({"project_name": "named", "domain_name": "e"}, {"project": {"name": "named", "domain": {"name": "e"}}}),
    ],
)
async def test_the_project_options_are_used_with_a_password_of_the_environment(
    options: dict[str, str], scope: dict[str, object], clock: FakeClock
) -> None:
    scopes: list[object] = []

    async def login(request: web.Request) -> web.Response:
        scopes.append((await request.json())["auth"]["scope"])
        return issued("t", "2027-01-16T08:00:00Z")

    environ = {"OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_DOMAIN_NAME": "d", "OS_PROJECT_ID": "of-env"}
    async with serving(login) as url:
        settings = Settings.model_validate({"api": {"endpoint": url}, "iam": {"endpoint": url}, "auth": options})
        runtime = Runtime(clock, environ, NOWHERE)
        async with account_credentials(settings.targets()[0], Unobserved(), runtime) as credentials:
            await credentials.headers(Request("GET", URL(url)))
    assert scopes == [scope]


@pytest.mark.parametrize("place", ["environment", "profile"])
async def test_the_project_option_is_sent_with_an_access_key_from_elsewhere(
    place: str, clock: FakeClock, tmp_path: Path
) -> None:
    environ = {"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "s", "HW_PROJECT_ID": "of-env"}
    if place == "profile":
        (tmp_path / "profile").write_text("[basic]\nak = a\nsk = s\nproject_id = of-file\n")
        environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(tmp_path / "profile")}
    settings = Settings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}, "auth": {"project_id": "of-option"}})
    runtime = Runtime(clock, environ, NOWHERE)
    async with account_credentials(settings.targets()[0], Unobserved(), runtime) as credentials:
        headers = await credentials.headers(Request("GET", URL("http://127.0.0.1:9/")))
    assert headers["X-Project-Id"] == "of-option"


@pytest.mark.parametrize("variables", [{"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "s"}, {}])
async def test_a_project_name_that_an_access_key_cannot_use_is_an_error(
    variables: dict[str, str], clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "profile").write_text("[basic]\nak = a\nsk = s\n")
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(tmp_path / "profile"), **variables}
    settings = Settings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}, "auth": {"project_name": "named"}})
    with pytest.raises(ConfigurationError, match=r"auth\.project-name cannot be used with an access key"):
        await source_of(settings, Runtime(clock, environ, NOWHERE))


@pytest.mark.parametrize("url", ["iam.example.org", "ftp://iam.example.org", "https://", "https://[::1"])
async def test_an_address_of_iam_in_the_environment_that_is_no_url_is_one_line(url: str, clock: FakeClock) -> None:
    environ = {"OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_DOMAIN_NAME": "d", "OS_AUTH_URL": url}
    settings = Settings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}})
    with pytest.raises(ConfigurationError, match="OS_AUTH_URL is not the URL of IAM"):
        await source_of(settings, Runtime(clock, environ, NOWHERE))
