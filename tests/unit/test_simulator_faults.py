import re
from pathlib import Path

import pytest

from exporter.simulator import KINDS, BadFault, Fault, parse_fault
from exporter.simulator.faults import Faults


def names(faults: list[Fault]) -> list[str]:
    return [fault.name for fault in faults]


def test_the_notation_of_a_fault_is_parsed() -> None:
    fault = parse_fault("throttled=5,times=3,after=1,api=iam")

    assert (fault.name, fault.value, fault.times, fault.after, fault.api) == ("throttled", 5, 3, 1, "iam")


def test_a_url_can_be_a_value() -> None:
    assert parse_fault("redirect=http://127.0.0.1:1/a=b,times=1").value == "http://127.0.0.1:1/a=b"


def test_the_error_for_an_unknown_fault_lists_all_faults() -> None:
    with pytest.raises(BadFault, match="gremlins: unknown fault") as raised:
        parse_fault("gremlins")

    assert all(name in str(raised.value) for name in KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "latency",
        "latency=soon",
        "latency=-1",
        "latency=nan",
        "server-error=5",
        "redirect=elsewhere",
        "short-page=few",
        "hang,times=0",
        "hang,times=x",
        "hang,after=-1",
        "hang,for=5",
        "hang,api=ecs",
        "hang,path=errors",
        "hang,times=1,times=2",
        "moved,api=iam",
        "throttled=-5",
        "clock-skew",
        "",
    ],
)
def test_an_invalid_notation_is_refused(text: str) -> None:
    with pytest.raises(BadFault):
        parse_fault(text)


def test_every_fault_has_a_notation() -> None:
    samples = {"latency": "1", "throttled-until": "5", "redirect": "http://h", "page-size": "9", "clock-skew": "-60"}

    for name in KINDS:
        text = f"{name}={samples[name]}" if name in samples else name
        assert parse_fault(text).name == name


def test_a_fault_affects_times_requests_after_the_first_ones() -> None:
    faults = Faults(["server-error,times=2,after=1"])

    assert [names(faults.take("sms", "/v3/sources")) for _ in range(4)] == [[], ["server-error"], ["server-error"], []]
    assert list(faults) == []


def test_a_fault_affects_its_own_api_only() -> None:
    faults = Faults(["server-error,api=iam"])

    assert names(faults.take("sms", "/v3/sources")) == []
    assert names(faults.take("iam", "/v3/auth/tokens")) == ["server-error"]


def test_faults_add_up_until_one_replaces_the_response() -> None:
    faults = Faults(["latency=1", "short-page", "forbidden,times=1", "bad-gateway,times=1"])

    assert names(faults.take("sms", "/v3/sources")) == ["latency", "short-page", "forbidden"]
    assert names(faults.take("sms", "/v3/sources")) == ["latency", "short-page", "bad-gateway"]
    assert names(faults.take("sms", "/v3/sources")) == ["latency", "short-page"]


def test_a_removed_fault_has_ended() -> None:
    faults = Faults(["hang", "latency=1"])
    hang, latency = faults
    faults.clear("hang")

    assert hang.ended.is_set()
    assert not latency.ended.is_set()
    assert names(list(faults)) == ["latency"]
    faults.clear()
    assert latency.ended.is_set()


def test_tokens_expire_once_by_default() -> None:
    assert parse_fault("token-expiry").times == 1
    assert parse_fault("token-expiry,times=3").times == 3


def test_clock_skews_add_up_and_end_with_their_fault() -> None:
    faults = Faults(["clock-skew=60", "clock-skew=-20"])

    assert faults.skew() == 40
    faults.clear("clock-skew")
    assert faults.skew() == 0


def test_every_fault_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `([a-z-]+)[=\[`]", page, re.MULTILINE) == list(KINDS)


def test_a_fault_of_one_api_needs_no_api() -> None:
    assert (Fault("long-token").api, Fault("short-page").api, Fault("hang").api) == ("iam", "sms", "sms")
    with pytest.raises(BadFault, match="only the API iam has this fault"):
        parse_fault("long-token,api=sms")


def test_a_fault_affects_only_the_paths_that_match_its_pattern() -> None:
    faults = Faults(["hang,path=/v3/errors", "server-error,path=/v3/tasks/*"])

    assert names(faults.take("sms", "/v3/sources")) == []
    assert names(faults.take("sms", "/v3/errors")) == ["hang"]
    assert names(faults.take("sms", "/v3/tasks")) == []
    assert names(faults.take("sms", "/v3/tasks/t1/consistency-result")) == ["server-error"]


def test_requests_to_other_paths_do_not_use_up_a_fault() -> None:
    faults = Faults(["server-error,path=/v3/errors,after=1,times=1"])
    for _ in range(3):
        faults.take("sms", "/v3/sources")

    assert [names(faults.take("sms", "/v3/errors")) for _ in range(3)] == [[], ["server-error"], []]
