from typing import Any

import pytest

from exporter.simulator.query import BadParameter, Query, parse_query
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES

RECORD: dict[str, Any] = {
    "id": "s1",
    "name": "web-001",
    "ip": "10.0.0.1",
    "ipv6": "fd00::1",
    "state": "replicate",
    "migration_cycle": "replicating",
    "connected": True,
    "current_task": {"clone_server": {"vm_id": "clone-1"}},
}


def asks_for(**parameters: str) -> bool:
    return parse_query(parameters).matches(RECORD, "project-1")


def test_a_query_without_parameters_is_the_first_200() -> None:
    assert parse_query({}) == Query(limit=200, offset=0, filters={})


@pytest.mark.parametrize(("text", "limit"), [("0", 200), ("1", 1), ("200", 200), ("", 200)])
def test_a_limit_of_0_is_200(text: str, limit: int) -> None:
    assert parse_query({"limit": text}).limit == limit


@pytest.mark.parametrize("text", ["201", "-1", "ten", "1.5", "٣", "9" * 5000, "+1", " 1"])
def test_another_limit_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="limit must be an integer from 0 to 200"):
        parse_query({"limit": text})


@pytest.mark.parametrize("text", ["65536", "-1", "x"])
def test_an_offset_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="offset must be an integer from 0 to 65535"):
        parse_query({"offset": text})


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("state", "replicate", "error"),
        ("name", "web-001", "web"),
        ("id", "s1", "s2"),
        ("ip", "10.0.0.1", "10.0.0.2"),
        ("ipv6", "fd00::1", "fd00::2"),
        ("migproject", "project-1", "project-2"),
        ("migration_cycle", "replicating", "syncing"),
        ("connected", "true", "false"),
        ("enterprise_project_id", "0", "other"),
        ("is_consistency_result_exist", "false", "TRUE"),
        ("vm_id", "clone-1", "clone-2"),
    ],
)
def test_each_filter_matches_its_value_only(name: str, right: str, wrong: str) -> None:
    assert asks_for(**{name: right})
    assert not asks_for(**{name: wrong})


def test_filters_are_combined() -> None:
    assert asks_for(state="replicate", name="web-001")
    assert not asks_for(state="replicate", name="web-002")


def test_an_address_is_preferred_to_an_ipv6_address() -> None:
    assert asks_for(ip="10.0.0.1", ipv6="fd00::2")


@pytest.mark.parametrize(("name", "allowed"), [("state", SOURCE_STATES), ("migration_cycle", MIGRATION_CYCLES)])
def test_documented_values_are_accepted_and_others_refused(name: str, allowed: tuple[str, ...]) -> None:
    for value in allowed:
        assert parse_query({name: value}).filters == {name: value}
    with pytest.raises(BadParameter, match=f"{name} must be one of"):
        parse_query({name: "premiging"})


@pytest.mark.parametrize("name", ["connected", "is_consistency_result_exist"])
def test_a_flag_is_true_or_false(name: str) -> None:
    with pytest.raises(BadParameter, match="true, false"):
        parse_query({name: "yes"})


def test_a_text_of_more_than_255_characters_is_refused() -> None:
    assert parse_query({"name": "x" * 255}).filters
    with pytest.raises(BadParameter, match="name is longer"):
        parse_query({"name": "x" * 256})
