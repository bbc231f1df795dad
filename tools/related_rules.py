"""Rules that a change of one rule can affect, and the rules and test groups of promtool reduced to these.

Evaluating all rules in all test groups takes many seconds. For a change of an alert, a tenth of them decides.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

Group = Mapping[str, Any]
"""A group of rules, or a test group of promtool."""

HELD: Final = "server:huaweicloud_sms_alerts:held"
"""Every alert reads only its own series of this record, so it connects no alert with another one."""

_WORD: Final = re.compile(r"[\w:]+")
NAME: Final = re.compile(r"(?<![\w:])[a-z_]+:\w+(?::\w+)?(?![\w:])")
_ALERTS: Final = re.compile(r"\bALERTS\b(?:\{([^}]*)\})?")
ALERT_NAME: Final = re.compile(r'\balertname(=~|!~|!=|=)"([^"]*)"')


def name_of(rule: Mapping[str, Any]) -> str:
    """Return the name of an alert or a record."""
    return str(rule.get("alert") or rule["record"])


@dataclass(frozen=True)
class Related:
    """The rules that a change of one rule can affect, and those that they need."""

    alerts: AbstractSet[str]
    """The alerts that can change."""
    records: AbstractSet[str]
    """The records that can change."""
    needed: AbstractSet[str]
    """The names of the rules that must be evaluated."""
    metrics: AbstractSet[str]
    """The names of all series that these read, among other words."""

    def reduced_rules(self, groups: Iterable[Group]) -> list[dict[str, Any]]:
        """Return the groups with the needed rules."""
        reduced = [
            {**group, "rules": [rule for rule in group["rules"] if name_of(rule) in self.needed]} for group in groups
        ]
        return [group for group in reduced if group["rules"]]

    def reduced_test(self, test: Group) -> dict[str, Any] | None:
        """Return a test group with the queries whose results can change and the series that count, if any."""
        queries = [query for each in test.get("promql_expr_test", ()) if (query := self._reduced_query(each))]
        if not queries:
            return None
        read = set(self.metrics).union(*(_WORD.findall(query["expr"]) for query in queries))
        series = [each for each in test["input_series"] if each["series"].partition("{")[0] in read]
        return {**test, "input_series": series, "promql_expr_test": queries}

    def _reduced_query(self, query: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a query with the expected alerts that can change; None if its result cannot change."""
        expression = query["expr"]
        selected = {alert for alert in self.alerts if _selects_alert(expression, alert)}
        if not selected and not self.records & set(NAME.findall(expression)):
            return None
        expression = _ALERTS.sub(self._reduced_selector, expression)
        samples = [sample for sample in query.get("exp_samples") or () if self._can_change(sample["labels"])]
        return {**query, "expr": expression, "exp_samples": samples}

    def _reduced_selector(self, selector: re.Match[str]) -> str:
        """Return a selector of `ALERTS` that names those which it selects of the alerts that can change."""
        selected = "|".join(sorted(alert for alert in self.alerts if _selects_alert(selector[0], alert)))
        matchers = re.findall(r'\w+[=!~]+"[^"]*"', selector[1] or "")
        others = [matcher for matcher in matchers if not ALERT_NAME.match(matcher)]
        return "ALERTS{" + ", ".join([f'alertname=~"{selected}"', *others]) + "}"

    def _can_change(self, labels: str) -> bool:
        alert = ALERT_NAME.search(labels)
        return alert is None or alert[2] in self.alerts


def related_to(rule: str, groups: Sequence[Group]) -> Related:
    """Return the rules that a change of a rule can affect."""
    rules = [each for group in groups for each in group["rules"]]
    alerts = {each["alert"] for each in rules if "alert" in each}
    names = {name_of(each) for each in rules}
    reads: dict[str, set[str]] = {name: set() for name in names}
    for each in rules:
        reads[name_of(each)] |= set(_reads(each["expr"], names, alerts if name_of(each) != HELD else ()))
    read_by = {name: {reader for reader, read in reads.items() if name in read} for name in names}
    changed = _closure({rule}, read_by)
    needed = _closure(changed, reads)
    metrics = {word for each in rules if name_of(each) in needed for word in _WORD.findall(each["expr"])}
    return Related(changed & alerts, changed - alerts, needed, metrics)


def _reads(expression: str, names: AbstractSet[str], alerts: Iterable[str]) -> Iterator[str]:
    yield from names & set(NAME.findall(expression))
    yield from (alert for alert in alerts if _selects_alert(expression, alert))


def _closure(names: AbstractSet[str], edges: Mapping[str, AbstractSet[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges[name]
    return found


def _selects_alert(expression: str, alert: str) -> bool:
    """Return whether one of the selectors of `ALERTS` in an expression can select an alert."""
    return any(
        all(_matches(operator, value, alert) for operator, value in ALERT_NAME.findall(found[1] or ""))
        for found in _ALERTS.finditer(expression)
    )


def _matches(operator: str, value: str, alert: str) -> bool:
    is_equal = re.fullmatch(value, alert) is not None if "~" in operator else value == alert
    return is_equal != operator.startswith("!")
