"""`python -m tools.mutants [FIRST STEP]`: changes the rules in many small ways; the tests must find each change.

A mutant changes one comparison, number, set operator, label list, label value or duration of one rule. It is killed if
a test group of promtool fails. Survivors are printed; those that cannot be noticed are in EQUIVALENT with the reason.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.accounts import page

ROOT: Final = Path(__file__).parent.parent
DEPLOY: Final = ROOT / "deploy" / "prometheus"
PAGE: Final = ROOT / "docs" / "reliability.md"
OUTCOMES: Final = ("killed", "equivalent", "survived")
ORDER: Final = (
    "sms-deadline",
    "sms-remedies",
    "sms-records",
    "sms-estimates",
    "sms-verdicts",
    "sms-servers",
    "sms-exporter",
)

_ALL_OR_NONE: Final = "alerts of an account are held only if the data of all its servers is missing"
_ONE_EXPORTER: Final = "the filter leaves one exporter per account"
EQUIVALENT: Final[Mapping[str, str]] = {
    "SmsClockSkew expr: max -> min": "an exporter has one time difference for each account",
    **{
        f"{record} expr: max -> min": _ONE_EXPORTER
        for record in (
            "account:huaweicloud_sms_source_servers:freshest",
            "account_state_os_type:huaweicloud_sms_task_migrate_speed_bytes_per_second:sum",
            "server:huaweicloud_sms_size_bytes:last",
            "server:huaweicloud_sms_subtask_seconds:running",
            "server:huaweicloud_sms_sync_lag_seconds:freshest",
            "SmsDataIncomplete",
            "server:huaweicloud_sms_replicated_bytes:freshest",
            "server:huaweicloud_sms_last_increase_timestamp_seconds:freshest",
            "server:huaweicloud_sms_remaining_bytes:freshest",
            "server:huaweicloud_sms_remaining_seconds:estimated",
        )
    },
    **{
        f"{alert} expr: , server_id -> {place}".strip(): _ALL_OR_NONE
        for alert, place in (
            ("SmsServerFailed", ""),
            ("SmsServerDisconnected", ""),
            ("SmsServerStalled", ""),
            ("SmsServerNotStarted", ""),
            ("SmsServerPaused", "#3"),
            ("SmsLaunchStuck", "#2"),
            ("SmsTaskFailed", "#2"),
            ("SmsCheckFailed", "#2"),
            ("SmsServerUnavailable", "#2"),
        )
    },
    **{
        f"SmsDataIncomplete expr: sum -> max{place}": "only whether there is an increase decides, not the sum"
        for place in ("", " #2", " #3")
    },
    "SmsReloadFailed expr: max -> min": "an instance has one such series",
    "server:huaweicloud_sms_state_since_timestamp_seconds:freshest expr: max -> min": "a server has one of both times",
}
"""Changes that do not change when an alert fires, by rule, and why."""

# What is replaced, and by what. The first group is the place of the change.
CHANGES: Final[Sequence[tuple[str, str]]] = (
    (r" (>) ", "<"),
    (r" (<) ", ">"),
    (r" (>=) ", "<"),
    (r" (<=) ", ">"),
    (r" (==) ", "!="),
    (r"\b(and) on\b", "unless"),
    (r"\b(unless) on\b", "and"),
    (r"\b(and) (?:server|time|account)", "unless"),
    (r"\s(or) ", "unless"),
    (r"on \(account(, server_id)\)", ""),
    (r"on \(account(, job, instance)\)", ""),
    (r"by \(account(, server_id)", ""),
    (r"without \((state)\)", "account"),
    (r'=~"\w+(\|\w+)', ""),
    (r'=~"(\w+\|)', ""),
    (r'!~"(\w+\|)', ""),
    (r"\b(\d+(?:\.\d+)?) \*", "7"),
    (r"\* (\d+)\b", "7"),
    (r"[<>=] (0\.\d+|\d+)(?![\d.]* \*)", "7"),
    (r"\[(\d+[mhd])\]", "7m"),
    (r"(group_left \(\w+(?:, \w+)*\))", "group_left ()"),
    (r"\b(max) by", "min"),
    (r"\b(min) by", "max"),
    (r"\b(sum) by", "max"),
    (r"(clamp_min)\(", "clamp_max"),
    (r"(topk) by", "bottomk"),
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
    place: int = 1
    """Which of the same changes of the rule it is."""

    @property
    def title(self) -> str:
        """Return the rule and the change."""
        number = f" #{self.place}" if self.place > 1 else ""
        return " ".join(f"{self.name} {self.key}: {self.before} -> {self.after}{number}".split())


def find_mutants() -> Iterator[Mutant]:
    """Return all mutants of all rules."""
    for file in sorted((DEPLOY / "rules").glob("*.yml")):
        for place, group in enumerate(yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]):
            for number, rule in enumerate(group["rules"]):
                name = rule.get("alert") or rule["record"]
                counts: Counter[tuple[str, str]] = Counter()
                for before, after, text in _changes_of(rule["expr"]):
                    counts[before, after] += 1
                    yield Mutant(file.name, place, number, name, "expr", before, after, text, counts[before, after])
                for key in ("for", "keep_firing_for"):
                    if key in rule:
                        for after in ("0s", f"{int(rule[key][:-1]) * 2 + 1}{rule[key][-1]}"):
                            yield Mutant(file.name, place, number, name, key, rule[key], after, "")


def _changes_of(expression: str) -> Iterator[tuple[str, str, str]]:
    """Return what is replaced, by what, and the changed expression."""
    seen = {expression}
    for pattern, after in CHANGES:
        for found in re.finditer(pattern, expression):
            changed = expression[: found.start(1)] + after + expression[found.end(1) :]
            if changed not in seen:
                seen.add(changed)
                yield found[1], after, changed


def write_rules(mutant: Mutant, folder: Path) -> bool:
    """Write all rules with the mutant; return whether promtool accepts them."""
    rules = folder / "rules"
    rules.mkdir()
    for file in (DEPLOY / "rules").glob("*.yml"):
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        if file.name == mutant.file:
            rule = content["groups"][mutant.group]["rules"][mutant.rule]
            rule[mutant.key] = mutant.text if mutant.key == "expr" else mutant.after
        for group in content["groups"]:
            for rule in group["rules"]:
                # The tests do not look at annotations, whose queries take long.
                rule.pop("annotations", None)
        (rules / file.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    files = [str(file) for file in rules.glob("*.yml")]
    return _succeeds(["promtool", "check", "rules", *files], folder)


def is_killed(mutant: Mutant, groups: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a test fails with the mutant, or promtool rejects it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not write_rules(mutant, folder):
            return True
        shutil.copytree(DEPLOY / "tests", folder / "tests")
        rules = [str(file) for file in (folder / "rules").glob("*.yml")]
        for number, group in enumerate(groups):
            tests = {"rule_files": rules, "evaluation_interval": group["interval"], "group_eval_order": ORDER}
            (folder / "tests" / f"{number:02}.json").write_text(
                json.dumps({**tests, "tests": [group]}), encoding="utf-8"
            )
        # Tests that name the rule come first, because they are the most likely to fail; those that take days come last.
        texts = {file: file.read_text(encoding="utf-8") for file in (folder / "tests").iterdir()}
        files = sorted(texts, key=lambda file: (mutant.name not in texts[file], '"4m"' in texts[file], file.name))
        return not all(_succeeds(["promtool", "test", "rules", str(file)], folder) for file in files)


def _succeeds(command: Sequence[str], folder: Path) -> bool:
    environment = {**os.environ, "GOGC": "800", "GOMAXPROCS": "1", "TMPDIR": str(folder)}
    return subprocess.run(command, capture_output=True, check=False, env=environment).returncode == 0  # noqa: S603


def main(chosen: Sequence[str]) -> int:
    """Try all mutants, or every STEPth from FIRST; print survivors, and return how many are not equivalent."""
    sys.path.insert(0, str(ROOT / "tests"))
    import detail_cases  # noqa: PLC0415 - a module of the tests
    import rule_cases  # noqa: PLC0415 - as above

    cases = sorted([*rule_cases.groups(), *detail_cases.groups()], key=lambda group: group["interval"])
    mutants = dict(enumerate(find_mutants()))
    total = len(mutants)
    if chosen:
        first, step = map(int, chosen)
        mutants = {number: mutants[number] for number in range(first, len(mutants), step)}
    counts: Counter[tuple[str, str]] = Counter()
    with ThreadPoolExecutor(2) as pool:
        results = zip(mutants.items(), pool.map(lambda mutant: is_killed(mutant, cases), mutants.values()), strict=True)
        for (number, mutant), killed in results:
            outcome = "killed" if killed else "equivalent" if mutant.title in EQUIVALENT else "survived"
            counts[mutant.file, outcome] += 1
            if outcome == "survived":
                sys.stdout.write(f"{number}: {mutant.title}\n{mutant.text}\n\n")
                sys.stdout.flush()
    rows = list(_rows(counts))
    sys.stdout.write("".join(f"{row}\n" for row in rows))
    part = f", every {chosen[1]}th of {total} changes" if chosen else ""
    tables = {"mutants-rules": rows, "mutants-rules-when": [f"Measured on {datetime.now(UTC):%Y-%m-%d}{part}."]}
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), tables, "make mutants-rules"), encoding="utf-8")
    return sum(number for (_, outcome), number in counts.items() if outcome == "survived")


def _rows(counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Return the rows of the table of docs/reliability.md."""
    for file in sorted({file for file, _ in counts}):
        of_file = [counts.get((file, outcome), 0) for outcome in OUTCOMES]
        yield f"| `{file}` | {sum(of_file)} | {' | '.join(map(str, of_file))} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
