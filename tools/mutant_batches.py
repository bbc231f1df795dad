"""Tries several changes of a rule in one run of promtool.

Each change has its own copy of the rules that it can affect, and of the expectations on these. The names of the copies
end in the number of the change. Number 0 is a copy without a change, whose expectations must be met.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

from tools.related_rules import ALERT_NAME, HELD, NAME, Group, Related, name_of

Rule = Mapping[str, Any]

ORDER: Final = (
    "sms-deadline",
    "sms-remedies",
    "sms-records",
    "sms-estimates",
    "sms-verdicts",
    "sms-servers",
    "sms-exporter",
    "sms-lists",
)
"""The order in which Prometheus must evaluate the groups."""

MAX_COPIES: Final = 200
"""How many copies of rules are evaluated in one run, so that it stays short."""

_FAILED: Final = re.compile(r"^\s+(?:expr: .*?|rule: \S*?)__(\d+)\b", re.MULTILINE)


def find_failing(
    rule: str, changes: Sequence[Rule], related: Related, groups: Sequence[Group], test: Group
) -> set[int]:
    """Return the indexes of those changed versions of a rule that fail a test group.

    Raises:
        AssertionError: The test group fails without a change.
    """
    size = max(1, MAX_COPIES // len(related.alerts | related.records))
    found: set[int] = set()
    for start in range(0, len(changes), size):
        numbers = range(start, min(start + size, len(changes)))
        found |= _find_failing({number + 1: changes[number] for number in numbers}, rule, related, groups, test)
    return found


def _find_failing(
    changes: Mapping[int, Rule], rule: str, related: Related, groups: Sequence[Group], test: Group
) -> set[int]:
    """Return the indexes of failing changes, whose keys are their numbers."""
    found: set[int] = set()
    while left := {number: changed for number, changed in changes.items() if number - 1 not in found}:
        failed, output = _run_copies(left, rule, related, groups, test)
        if not output:
            break
        if not failed and len(left) > 1:
            # The rules were rejected: which change did that?
            halves = (dict(list(left.items())[::2]), dict(list(left.items())[1::2]))
            return found.union(*(_find_failing(half, rule, related, groups, test) for half in halves))
        if 0 in failed or (not failed and _run_copies({}, rule, related, groups, test)[1]):
            message = f"the test group {test['name']} fails without a change of {rule}: {output[:2000]}"
            raise AssertionError(message)
        found |= {number - 1 for number in failed or left}
        if "rule: " not in output:
            break
        # An error in a rule ends the run, so the others are tried again.
    return found


def _run_copies(
    changes: Mapping[int, Rule], rule: str, related: Related, groups: Sequence[Group], test: Group
) -> tuple[set[int], str]:
    """Return the numbers of failing changes, and the output of promtool, which is empty if none fails."""
    rules = [*_copied_rules(changes, rule, related, groups)]
    status, output = _run_promtool(rules, _copied_test([0, *changes], related, test))
    return {int(number) for number in _FAILED.findall(output)}, output if status else ""


def _copied_rules(changes: Mapping[int, Rule], rule: str, related: Related, groups: Sequence[Group]) -> Iterator[Group]:
    """Return the needed rules, those that can change once for each change."""
    affected = related.alerts | related.records
    for group in related.reduced_rules(groups):
        rules: list[Rule] = []
        for each in group["rules"]:
            name = name_of(each)
            if name not in affected:
                rules.append({**each, "expr": _with_copies(each["expr"])} if name == HELD else each)
            else:
                versions = {number: changes.get(number, each) if name == rule else each for number in (0, *changes)}
                rules += (_renamed_rule(version, affected, number) for number, version in versions.items())
        yield {key: value for key, value in group.items() if key != "file"} | {"rules": rules}


def _with_copies(expression: str) -> str:
    """Return an expression that selects alerts by name, so that it also selects their copies."""
    expression = expression.replace('alertname="', 'alertname=~"')
    return re.sub(r'(Sms\w+)(?=[|"])', r"\1(__.+)?", expression)


def _renamed_rule(rule: Rule, names: AbstractSet[str], number: int) -> Rule:
    """Return a copy of a rule with the number of a change in all names that can change."""
    kind = "alert" if "alert" in rule else "record"

    def renamed(found: re.Match[str]) -> str:
        return f"{found[0]}__{number}" if found[0] in names else found[0]

    expression = NAME.sub(renamed, rule["expr"])
    expression = ALERT_NAME.sub(lambda matcher: re.sub(r"\w+", renamed, matcher[0]), expression)
    return {**rule, kind: f"{rule[kind]}__{number}", "expr": expression}


def _copied_test(numbers: Sequence[int], related: Related, test: Group) -> Group:
    """Return a test group with its queries, and its series of records that can change, once for each change."""
    affected = related.alerts | related.records
    queries = []
    for query in test["promql_expr_test"]:
        for number in numbers:
            copy = _renamed_rule({"record": "", "expr": query["expr"]}, affected, number)
            samples = [
                {**sample, "labels": _renamed_labels(sample["labels"], related, number)}
                for sample in query["exp_samples"]
            ]
            queries.append({**query, "expr": copy["expr"], "exp_samples": samples})
    inputs: list[Mapping[str, str]] = []
    for each in test["input_series"]:
        copies = {_renamed_labels(each["series"], related, number) for number in numbers}
        inputs += ({**each, "series": copy} for copy in sorted(copies))
    return {**test, "input_series": inputs, "promql_expr_test": queries}


def _renamed_labels(labels: str, related: Related, number: int) -> str:
    name, brace, rest = labels.partition("{")
    if name in related.records:
        name = f"{name}__{number}"
    return name + brace + ALERT_NAME.sub(lambda found: f'{found[0][:-1]}__{number}"', rest)


def _run_promtool(groups: Sequence[Group], test: Group) -> tuple[int, str]:
    """Return the exit code and the output of promtool for one test group."""
    names = {group["name"] for group in groups}
    content = {
        "rule_files": ["rules.json"],
        "evaluation_interval": test["evaluation_interval"],
        "group_eval_order": [name for name in ORDER if name in names],
        "tests": [{key: value for key, value in test.items() if key != "evaluation_interval"}],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.json").write_text(json.dumps({"groups": groups}), encoding="utf-8")
        (folder / "test.json").write_text(json.dumps(content), encoding="utf-8")
        environment = {**os.environ, "GOGC": "800", "GOMAXPROCS": "1", "TMPDIR": name}
        command = ["promtool", "test", "rules", str(folder / "test.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
        return done.returncode, done.stdout + done.stderr
