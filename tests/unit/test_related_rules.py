"""The rules and tests that a change of one rule can affect, which `make mutants-rules` evaluates."""

from typing import Any

import pytest

from tools.mutants import EQUIVALENT, find_mutants, load_rules
from tools.related_rules import HELD, Related, related_to

GROUPS: list[dict[str, Any]] = [
    {
        "name": "records",
        "rules": [
            {"record": "server:state:freshest", "expr": "state"},
            {"record": "server:stalled:freshest", "expr": "server:state:freshest and increase == 0"},
            {"record": HELD, "expr": 'ALERTS{alertname=~"Sms.+"}'},
        ],
    },
    {
        "name": "alerts",
        "rules": [
            {"alert": "SmsStalled", "expr": f'server:stalled:freshest or {HELD}{{alertname="SmsStalled"}}'},
            {"alert": "SmsFailed", "expr": f'server:state:freshest == 1 or {HELD}{{alertname="SmsFailed"}}'},
            {"alert": "SmsLate", "expr": 'server:state:freshest unless ALERTS{alertname=~"SmsStalled|SmsOther"}'},
        ],
    },
]


@pytest.mark.parametrize(
    ("rule", "alerts", "records", "needed"),
    [
        ("SmsLate", {"SmsLate"}, set(), {"SmsStalled", HELD, "server:stalled:freshest", "server:state:freshest"}),
        ("SmsFailed", {"SmsFailed"}, set(), {HELD, "server:state:freshest"}),
        ("server:stalled:freshest", {"SmsStalled", "SmsLate"}, {"server:stalled:freshest"}, {HELD, "SmsStalled"}),
    ],
)
def test_a_change_affects_whatever_reads_the_rule_and_needs_whatever_that_reads(
    rule: str, alerts: set[str], records: set[str], needed: set[str]
) -> None:
    related = related_to(rule, GROUPS)
    assert related.alerts == alerts
    assert related.records == records
    assert related.needed == alerts | records | needed | {"server:state:freshest"}


def test_rules_that_are_not_needed_are_left_out() -> None:
    related = Related(set(), {"server:stalled:freshest"}, {"server:stalled:freshest", "server:state:freshest"}, set())
    (group,) = related.reduced_rules(GROUPS)
    assert [rule["record"] for rule in group["rules"]] == ["server:state:freshest", "server:stalled:freshest"]


def test_queries_whose_result_cannot_change_are_left_out_and_others_expect_only_alerts_that_can() -> None:
    related = Related({"SmsLate"}, {"server:stalled:freshest"}, set(), set())
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in ("SmsLate", "SmsFailed")]
    queries = [
        {"expr": 'ALERTS{alertname=~"SmsL.+|SmsF.+", account="a"}', "eval_time": "1m", "exp_samples": samples},
        {"expr": 'ALERTS{alertname!="SmsLate"}', "eval_time": "2m"},
        {"expr": 'ALERTS{alertname!~"SmsL.*"}', "eval_time": "3m"},
        {"expr": "count(ALERTS)", "eval_time": "4m"},
        {"expr": "count(server:stalled:freshest)", "eval_time": "5m"},
        {"expr": "server:state:freshest", "eval_time": "6m"},
    ]
    test = related.reduced_test({"input_series": [], "promql_expr_test": queries})
    assert test is not None
    assert [(query["expr"], query["exp_samples"]) for query in test["promql_expr_test"]] == [
        ('ALERTS{alertname=~"SmsLate", account="a"}', samples[:1]),
        ('count(ALERTS{alertname=~"SmsLate"})', []),
        ("count(server:stalled:freshest)", []),
    ]


def test_a_test_group_without_any_query_that_can_change_is_left_out() -> None:
    queries = [{"expr": 'ALERTS{alertname="SmsFailed"}', "eval_time": "1m"}]
    related = Related({"SmsLate"}, set(), set(), set())
    assert related.reduced_test({"input_series": [], "promql_expr_test": queries}) is None


def test_series_that_neither_rules_nor_queries_read_are_left_out() -> None:
    related = related_to("server:stalled:freshest", GROUPS)
    series = [{"series": f'{name}{{account="a"}}', "values": "1"} for name in ("state", "increase", "size", "up")]
    queries = [{"expr": "server:stalled:freshest and up", "eval_time": "1m"}]
    test = related.reduced_test({"input_series": series, "promql_expr_test": queries})
    assert test is not None
    assert [each["series"].partition("{")[0] for each in test["input_series"]] == ["state", "increase", "up"]


def test_every_change_that_is_named_as_equivalent_exists() -> None:
    assert EQUIVALENT.keys() <= {mutant.title for mutant in find_mutants(load_rules())}
