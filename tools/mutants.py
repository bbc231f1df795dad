"""`python -m tools.mutants [FIRST STEP]`: changes the rules in many small ways; the tests must find each change.

A mutant changes one comparison, number, set operator, label, label value, aggregation or duration of one rule. It is
killed if a test group of promtool fails. Survivors are printed. Changes that no test can notice are in mutants.yml with
the reason, and are not tried.
"""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.figures import describe_run, replace_tables
from tools.mutant_batches import find_failing
from tools.related_rules import Group, name_of, related_to

ROOT: Final = Path(__file__).parent.parent
DEPLOY: Final = ROOT / "deploy" / "prometheus"
KEPT: Final = ROOT / "build" / "mutants-rules.txt"
"""The killed mutants of earlier runs, each after the version of the rules that it can affect or that these read."""
PAGE: Final = ROOT / "docs" / "reliability.md"
OUTCOMES: Final = ("killed", "equivalent", "survived")
EQUIVALENT: Final[Mapping[str, str]] = {
    title: reason
    for reason, titles in yaml.safe_load((ROOT / "tools" / "mutants.yml").read_text(encoding="utf-8")).items()
    for title in titles
}
"""Changes that no test can notice, and why."""

# What is replaced, and by what. The first group is the place of the change.
CHANGES: Final[Sequence[tuple[str, str]]] = (
    (r" (>) ", "<"),
    (r" (>) ", ">="),
    (r" (<) ", ">"),
    (r" (<) ", "<="),
    (r" (>=) ", "<"),
    (r" (>=) ", ">"),
    (r" (<=) ", ">"),
    (r" (<=) ", "<"),
    (r" (==) ", "!="),
    (r"\b(and) ", "unless"),
    (r"\b(unless) ", "and"),
    (r"\b(or)\s", "unless"),
    (r"on \(account(, job, instance)\)", ""),
    (r'(?<!error_code)="(\w+)"', "none"),
    (r"(\w+\|)", ""),
    (r"(\|\w+)[^|\w]", ""),
    (r"\b(\d+(?:\.\d+)?) \*", "7"),
    (r"\* (\d+)\b", "7"),
    (r"\((\d+(?:\.\d+)?),\s", "7"),
    (r"vector\((\d{2,})\)", "7"),
    (r",\s+(0)\s*\)", "7"),
    (r"[<>=] (0\.\d+|\d+)(?![\d.]* \*)", "7"),
    (r"\[(\d+[mhd])\]", "7m"),
    (r"\boffset (\d+[mhd])\b", "7m"),
    (r"(group_left \(\w+(?:, \w+)*\))", "group_left ()"),
    (r"\b(max) by", "min"),
    (r"\b(min) by", "max"),
    (r"\b(sum) by", "max"),
    (r"(clamp_min)\(", "clamp_max"),
    (r"(topk) by", "bottomk"),
    (r"(max|avg)_over_time", "min"),
)


@dataclass(frozen=True)
class Mutant:
    """One change of one rule."""

    file: str
    group: int
    rule: int
    name: str
    key: str
    before: str
    after: str
    text: str
    """The value of the key with the change."""
    place: int = 1
    """Which of the same changes of the rule it is."""

    @property
    def title(self) -> str:
        """Return the rule and the change."""
        number = f" #{self.place}" if self.place > 1 else ""
        return " ".join(f"{self.name} {self.key}: {self.before} -> {self.after}{number}".split())

    def changed(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Return the rule with the change."""
        return {**groups[self.group]["rules"][self.rule], self.key: self.text}


def load_rules() -> list[Group]:
    """Return the groups of all rules with their `file`, without annotations: tests do not look at them."""
    groups: list[Group] = []
    for file in sorted((DEPLOY / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            rules = [{key: value for key, value in rule.items() if key != "annotations"} for rule in group["rules"]]
            groups.append({**group, "rules": rules, "file": file.name})
    return groups


def load_tests() -> list[Group]:
    """Return all test groups of promtool, with their evaluation interval."""
    sys.path.insert(0, str(ROOT / "tests"))
    import changed_label_cases  # noqa: PLC0415 - a module of the tests
    import detail_cases  # noqa: PLC0415 - as above
    import old_data_cases  # noqa: PLC0415 - as above
    import rule_cases  # noqa: PLC0415 - as above
    import threshold_cases  # noqa: PLC0415 - as above

    files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted((DEPLOY / "tests").glob("*.yml"))]
    tests: list[Group] = [
        {**test, "evaluation_interval": file["evaluation_interval"]} for file in files for test in file["tests"]
    ]
    cases = [
        *rule_cases.groups(),
        *detail_cases.groups(),
        *threshold_cases.groups(),
        *changed_label_cases.groups(),
        old_data_cases.unused_data(),
    ]
    tests += [{**case, "evaluation_interval": case["interval"]} for case in cases]
    return tests


def find_mutants(groups: Sequence[Group]) -> Iterator[Mutant]:
    """Return all mutants of all rules."""
    for place, group in enumerate(groups):
        for number, rule in enumerate(group["rules"]):
            counts: Counter[tuple[str, str]] = Counter()
            of_rule = partial(Mutant, group["file"], place, number, name_of(rule))
            for before, after, text in _changes_of(rule["expr"]):
                counts[before, after] += 1
                yield of_rule("expr", before, after, text, counts[before, after])
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    for after in ("0s", f"{int(rule[key][:-1]) * 2 + 1}{rule[key][-1]}"):
                        yield of_rule(key, rule[key], after, after)


def _changes_of(expression: str) -> Iterator[tuple[str, str, str]]:
    """Return what is replaced, by what, and the changed expression."""
    replaced = [(*found.span(1), after) for pattern, after in CHANGES for found in re.finditer(pattern, expression)]
    seen = {expression}
    for start, end, after in itertools.chain(replaced, _labels_of(expression)):
        changed = expression[:start] + after + expression[end:]
        if changed not in seen:
            seen.add(changed)
            yield expression[start:end], after, changed


def _labels_of(expression: str) -> Iterator[tuple[int, int, str]]:
    """Return the place of each label in the lists of an expression, with the comma that goes with it."""
    for labels in re.finditer(r"\b(?:by|on) \(([^)]*)\)", expression):
        for label in re.finditer(r", \w+|\w+(?:, )?", labels[1]):
            yield labels.start(1) + label.start(), labels.start(1) + label.end(), ""


def _cost(test: Group) -> float:
    """Return an estimate of the cost of a test group: its number of samples."""
    last = max(_minutes(query["eval_time"]) for query in test["promql_expr_test"])
    return len(test["input_series"]) * last / _minutes(test["interval"])


def _minutes(duration: str) -> int:
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


def try_mutants(mutants: Sequence[Mutant], groups: Sequence[Group]) -> Iterator[tuple[Mutant, bool]]:
    """Try mutants; return each with whether it was killed, as soon as all of its rule were tried.

    Killed ones are kept in a file, so that a run that was stopped continues.
    """
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.touch()
    kept = set(KEPT.read_text(encoding="utf-8").splitlines())
    tests = load_tests()
    # Rules that affect few others come first.
    names = {mutant.name: len(related_to(mutant.name, groups).needed) for mutant in mutants}
    by_rule = {name: [each for each in mutants if each.name == name] for name in sorted(names, key=names.__getitem__)}
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_try_rule, of_rule, groups, tests, kept) for of_rule in by_rule.values()]
        try:
            for run in as_completed(runs):
                yield from run.result().items()
        finally:
            pool.shutdown(cancel_futures=True)


def _try_rule(
    mutants: Sequence[Mutant], groups: Sequence[Group], tests: Sequence[Group], kept: Collection[str]
) -> Mapping[Mutant, bool]:
    """Return whether the mutants of one rule were killed."""
    rule = mutants[0].name
    related = related_to(rule, groups)
    version = hashlib.sha256(json.dumps(related.reduced_rules(groups)).encode()).hexdigest()[:12]
    left = [mutant for mutant in mutants if f"{version} {mutant.title}" not in kept]
    reduced = [test for each in tests if (test := related.reduced_test(each))]
    # Tests that name the rule are the most likely to fail.
    for test in sorted(reduced, key=lambda test: (rule not in json.dumps(test["promql_expr_test"]), _cost(test))):
        failing = find_failing(rule, [mutant.changed(groups) for mutant in left], related, groups, test)
        with KEPT.open("a", encoding="utf-8") as results:
            results.write("".join(f"{version} {left[index].title}\n" for index in failing))
        left = [mutant for index, mutant in enumerate(left) if index not in failing]
    return {mutant: mutant not in left for mutant in mutants}


def main(chosen: Sequence[str]) -> int:
    """Try all mutants, or every STEPth from FIRST; print survivors, and return how many are not equivalent."""
    groups = load_rules()
    mutants = list(find_mutants(groups))
    total = len(mutants)
    if chosen:
        first, step = map(int, chosen)
        mutants = mutants[first::step]
    counts = Counter((mutant.file, "equivalent") for mutant in mutants if mutant.title in EQUIVALENT)
    for mutant, is_killed in try_mutants([each for each in mutants if each.title not in EQUIVALENT], groups):
        counts[mutant.file, "killed" if is_killed else "survived"] += 1
        if not is_killed:
            print(f"{mutant.title}\n{mutant.text}\n", flush=True)  # noqa: T201 - the output of the command
    rows = list(_rows(counts))
    print("\n".join(rows))  # noqa: T201 - as above
    part = f" Every {chosen[1]}th of {total} changes was tried." if chosen else ""
    command = ("promtool", "--version")
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[2]  # noqa: S603 - fixed
    tables = {"mutants-rules": rows, "mutants-rules-when": [f"{describe_run(f'promtool {version}')}{part}"]}
    PAGE.write_text(replace_tables(PAGE.read_text(encoding="utf-8"), tables, "make mutants-rules"), encoding="utf-8")
    return sum(number for (_, outcome), number in counts.items() if outcome == "survived")


def _rows(counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Return the rows of the table of docs/reliability.md."""
    for file in sorted({file for file, _ in counts}):
        of_file = [counts.get((file, outcome), 0) for outcome in OUTCOMES]
        yield f"| `{file}` | {sum(of_file)} | {' | '.join(map(str, of_file))} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
