"""The options of an account: the bounds of their values, their combinations, and what is derived from them."""

from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from exporter.errors import ConfigurationError
from exporter.settings import AccountSettings, ApiSettings, PollSettings
from options import check_bounds, load
from support import account

BOUNDS = [
    ("api.concurrency", "1", "64", "0", "65"),
    ("api.connect-timeout", "1ms", "365d", "0s", "366d"),
    ("api.read-timeout", "1ms", "365d", "0s", "366d"),
    ("api.max-response-size", "1", None, "0", None),
    ("api.rate-limit", "0.01", "1e6", "0", "1000001"),
    ("poll.timeout", "1ms", "60s", "0s", None),
    ("limits.series", "0", None, "-1", None),
    ("account.name", "a", "a" * 255, None, "a" * 256),
]


@pytest.mark.parametrize(("flag", "least", "most", "below", "above"), BOUNDS, ids=[bounds[0] for bounds in BOUNDS])
def test_the_value_of_an_option_has_bounds(
    flag: str, least: str, most: str | None, below: str | None, above: str | None
) -> None:
    check_bounds(flag, (least, most), (below, above))


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


def test_the_name_of_an_account_of_the_list_has_1_to_255_characters() -> None:
    api = ApiSettings(region="cn-north-4")
    for name in ("a", "a" * 255):
        assert AccountSettings(name=name, api=api).name == name
    for name in ("", "a" * 256):
        with pytest.raises(ValidationError, match=r"should have at (least 1|most 255) character"):
            AccountSettings(name=name, api=api)


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


def test_certificates_that_are_not_verified_need_no_ca_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    for options in ({"ca_file": file}, {"insecure_skip_verify": True}):
        ApiSettings.model_validate(options)
    with pytest.raises(ConfigurationError, match=r"no effect, because --api\.insecure-skip-verify is set"):
        load(f"--api.ca-file={file}", "--api.insecure-skip-verify")


def test_filters_are_sent_as_the_api_writes_them() -> None:
    filters = account(filter={"connected": True, "is_consistency_result_exist": False, "name": "Ä"}).filter
    assert filters.query() == {"connected": "true", "is_consistency_result_exist": "false", "name": "Ä"}
    assert account().filter.query() == {}
