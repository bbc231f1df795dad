"""Changed rules that promtool tries together, as `make mutants-rules` does."""

from typing import Any

import pytest

from programs import program
from tools.mutant_batches import find_failing
from tools.related_rules import HELD, related_to

FEW = "server:few_bytes:freshest"
STALLED = f'group by (server_id) ({FEW} < 5 or on (server_id) {HELD}{{alertname="SmsStalled"}})'
HELD_ALERTS = 'ALERTS{alertname=~"SmsStalled|SmsOther", alertstate="firing"}'
RULES: list[dict[str, Any]] = [
    {
        "name": "sms-records",
        "rules": [
            {"record": FEW, "expr": "bytes < 9"},
            {"record": HELD, "expr": f"group by (alertname, server_id) ({HELD_ALERTS} and on () stale)"},
        ],
    },
    {"name": "sms-servers", "rules": [{"alert": "SmsStalled", "expr": STALLED, "for": "1m"}]},
]
FIRING = [{"labels": '{alertname="SmsStalled", server_id="SmsStalled"}', "value": 1}]
TEST: dict[str, Any] = {
    "name": "a stall",
    "interval": "1m",
    "evaluation_interval": "1m",
    "input_series": [
        {"series": 'bytes{server_id="SmsStalled", disk="1"}', "values": "4x4 _x9"},
        {"series": 'bytes{server_id="SmsStalled", disk="2"}', "values": "6x4 _x9"},
        {"series": "stale", "values": "_x4 1x9"},
    ],
    "promql_expr_test": [
        {
            "expr": 'group by (alertname, server_id) (ALERTS{alertstate="firing", server_id="SmsStalled"})',
            "eval_time": f"{minute}m",
            "exp_samples": samples,
        }
        for minute, samples in ((0, []), (1, FIRING), (9, FIRING), (12, FIRING))
    ],
}


@pytest.fixture(autouse=True)
def _promtool() -> None:
    program("promtool")


def find(rule: str, *changes: dict[str, Any]) -> set[int]:
    """Return the indexes of the changes that fail the test."""
    related = related_to(rule, RULES)
    test = related.reduced_test(TEST)
    assert test is not None
    (unchanged,) = [each for group in RULES for each in group["rules"] if rule in each.values()]
    return find_failing(rule, [{**unchanged, **change} for change in changes], related, RULES, test)


def test_changes_of_an_alert_that_its_test_notices_are_found() -> None:
    changes = [
        {"expr": STALLED.replace("< 5", "> 7")},
        {"expr": STALLED.replace("5", "6")},
        {"expr": STALLED.replace("< 5", "<")},
        {"expr": STALLED.replace("server_id", "disk", 1)},
        {"expr": STALLED.replace("< 5", "* on (server_id) bytes")},
        {"expr": STALLED.replace("SmsStalled", "SmsOther")},
        {"for": "0m"},
        {"keep_firing_for": "1m"},
    ]
    assert find("SmsStalled", *changes) == {0, 2, 3, 4, 5, 6}


def test_changes_of_a_record_are_found_by_the_alerts_that_read_it() -> None:
    changes = [{"expr": expression} for expression in ("bytes > 5", "bytes < 8", "bytes unless bytes", "bytes < ")]
    assert find(FEW, *changes) == {0, 2, 3}


def test_changes_of_the_record_of_held_alerts_are_found() -> None:
    held = str(RULES[0]["rules"][1]["expr"])
    changes = [{"expr": held.replace(*words)} for words in (("SmsStalled|", ""), ("|SmsOther", ""), ("and", "unless"))]
    assert find(HELD, *changes) == {0, 2}


def test_series_of_a_changed_record_that_a_test_gives_are_read() -> None:
    name = "server:kept:freshest"
    rules = [{"name": "sms-records", "rules": [{"record": name, "expr": name}]}]
    test = {
        **TEST,
        "input_series": [{"series": f'{name}{{server_id="1"}}', "values": "5 _x9"}],
        "promql_expr_test": [
            {"expr": name, "eval_time": "9m", "exp_samples": [{"labels": f'{name}{{server_id="1"}}', "value": 5}]}
        ],
    }
    related = related_to(name, rules)
    reduced = related.reduced_test(test)
    assert reduced is not None
    changes = [{"record": name, "expr": f"{name} > {number}"} for number in (4, 5)]
    assert find_failing(name, changes, related, rules, reduced) == {1}


def test_rules_that_are_invalid_without_a_change_are_an_error() -> None:
    related = related_to("SmsStalled", RULES)
    invalid = [{"name": "sms-records", "rules": [{"record": FEW, "expr": "bytes <"}]}, RULES[1]]
    test = related.reduced_test(TEST)
    assert test is not None
    with pytest.raises(AssertionError, match="fails without a change"):
        find_failing("SmsStalled", [{"alert": "SmsStalled", "expr": "vector(1)"}], related, invalid, test)


def test_a_test_that_fails_without_a_change_is_an_error() -> None:
    related = related_to("SmsStalled", RULES)
    test = related.reduced_test({**TEST, "promql_expr_test": [{"expr": "ALERTS", "eval_time": "1m"}]})
    assert test is not None
    with pytest.raises(AssertionError, match="the test group a stall fails without a change of SmsStalled"):
        find_failing("SmsStalled", [{"alert": "SmsStalled", "expr": "vector(1)"}], related, RULES, test)
