"""Every kind of credentials, against the simulator, which checks tokens and signatures as the cloud does."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest
from aiohttp import web
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdksms.v3 import ListServersRequest, SmsClient  # type: ignore[import-untyped]
from yarl import URL

from credentials import filled, issued, options_of, seen_with, source_of, tree
from exporter.errors import ConfigurationError
from exporter.http.transport import Request
from exporter.polling.connections import Runtime, account_credentials
from exporter.settings import Settings
from exporter.simulator import Simulator
from exporter.simulator.tokens import TokenStatus
from programs import serving
from support import NOWHERE, TIMEOUT_SECONDS, FakeClock, Unobserved, account, exporting, run_ahead, scrape


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


@pytest.mark.parametrize("variable", ["HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL"])
async def test_a_token_is_requested_from_the_iam_of_the_environment(variable: str, clock: FakeClock) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        environ = {**filled(dict(ENVIRONMENTS)["HW_USER_NAME"], simulator), "HW_AUTH_URL": "http://127.0.0.1:9"}
        environ[variable] = f"{simulator.url}/v3"
        # No option says where IAM is.
        (account,) = tree(simulator).targets()
        async with account_credentials(account, Unobserved(), Runtime(clock, environ, NOWHERE)) as credentials:
            headers = await credentials.headers(Request("GET", URL(simulator.url)))
        assert [request.path for request in simulator.requests] == ["/v3/auth/tokens"]
        assert simulator.tokens.status(headers["X-Auth-Token"], clock.time()) is TokenStatus.VALID


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


class UnansweredPath(type(Path())):  # type: ignore[misc]
    """A path on a network file system that never answers."""

    answered = threading.Event()

    def exists(self, **_: object) -> bool:
        return self.answered.wait(TIMEOUT_SECONDS)


async def test_a_home_directory_that_does_not_answer_is_an_error_and_no_other_place_is_searched(
    clock: FakeClock,
) -> None:
    home = UnansweredPath("/nonexistent")
    async with contextlib.AsyncExitStack() as resources:
        context = account_credentials(account(), Unobserved(), Runtime(clock, {}, home))
        with pytest.raises(ConfigurationError, match=r"credentials file: /nonexistent/\.huaweicloud/credentials"):
            await run_ahead(resources.enter_async_context(context))
    home.answered.set()
