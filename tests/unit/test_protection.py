"""Warnings about connections that others on the network can read or change."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.auth import Credentials, Lookup, find_credentials
from exporter.auth.chain import POD_TOKEN_FILE_VARIABLE, POD_URL_VARIABLE, find_in_pod
from exporter.http.transport import Api, Transport
from exporter.polling.protection import find_unprotected
from support import NOWHERE, FakeClock, account

PLAIN = "is not encrypted: others on the network can read and change what is sent"
USER = {"user_name": "u", "domain_name": "d", "password": "p"}


def warnings_of(issuer_url: str = "", **api: object) -> list[str]:
    """Return the beginnings of the warnings about an account."""
    return [warning.partition(",")[0] for warning in find_unprotected(account(api=api), issuer_url)]


@pytest.mark.parametrize("host", ["sms.example.com", "10.0.0.1:8080", "[2001:db8::1]:80", "localhost.example.com"])
def test_plain_http_to_another_machine_is_a_warning(host: str) -> None:
    assert warnings_of(endpoint=f"http://{host}/sms") == [f"http://{host} {PLAIN}"]
    assert warnings_of(f"http://{host}/v3", region="cn-north-4") == [f"http://{host} {PLAIN}"]


@pytest.mark.parametrize(
    "url",
    [
        "https://sms.example.com",
        "http://127.0.0.1:10059",
        "http://localhost:10059",
        "http://[::1]:10059",
        "http://169.254.169.254",
    ],
)
def test_https_and_a_service_on_this_machine_or_its_link_are_no_warning(url: str) -> None:
    assert warnings_of(url, endpoint=url) == []


def test_a_certificate_that_is_not_verified_is_a_warning() -> None:
    (warning,) = warnings_of(region="cn-north-4", insecure_skip_verify=True)
    assert warning.startswith("api.insecure-skip-verify: no certificate is verified: ")


def no_transport(_: Api) -> Transport:
    """Stand for the transport of credentials that send no request."""
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("auth", "environ", "url"),
    [
        (USER, {}, "http://iam.example.com"),
        (
            {},
            {"OS_USERNAME": "u", "OS_USER_DOMAIN_NAME": "d", "OS_PASSWORD": "p", "OS_AUTH_URL": "http://keystone/v3"},
            "http://keystone",
        ),
        ({"token": "t"}, {}, ""),
        ({"access_key": "a", "secret_key": "s"}, {}, ""),
    ],
)
async def test_credentials_know_the_service_that_a_password_is_sent_to(
    auth: Mapping[str, object], environ: Mapping[str, str], url: str, clock: FakeClock
) -> None:
    iam = {"endpoint": "http://iam.example.com"} if auth else {}
    lookup = Lookup(account(auth=auth, iam=iam), no_transport, clock, environ, NOWHERE)
    assert (await find_credentials(lookup)).issuer_url == url


async def test_a_temporary_key_of_a_pod_knows_the_service_that_issues_it(clock: FakeClock, tmp_path: Path) -> None:
    environ = {POD_URL_VARIABLE: "http://pods.example.com/v1", POD_TOKEN_FILE_VARIABLE: str(tmp_path / "token")}
    found = await find_in_pod(Lookup(account(), no_transport, clock, environ, NOWHERE))
    assert isinstance(found, Credentials)
    assert found.issuer_url == "http://pods.example.com/v1"
