"""`python -m tools.code_mutants [MODULE …]`: change the package in many small ways; the tests must find each change.

Without modules, all modules of PACKAGES are changed, and the table of docs/reliability.md can be written. Results are
kept in build/mutants, so that a run that was stopped continues, and several runs can try different modules at the same
time. Survivors are printed; those that no test can notice are in equivalent.yml with the reason.

mutmut leaves out decorated functions (validators, properties, context managers) and classes' fields, and cosmic-ray
starts Python for each mutant, which takes days here.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO, TypeAlias

import yaml

from benchmarks.figures import describe_run, replace_tables
from tools.code_mutants import selection, trial
from tools.code_mutants.changes import Mutant, find_mutants

PACKAGES: Final = ("sms", "polling", "exposition", "auth", "http", "settings")
SOURCES: Final = tuple(trial.ROOT / "exporter" / package for package in PACKAGES)
BUILD: Final = trial.ROOT / "build" / "mutants"
EQUIVALENT: Final = Path(__file__).parent / "equivalent.yml"
PAGE: Final = trial.ROOT / "docs" / "reliability.md"

OTHER_UNIT_TESTS: Final = (
    "code_mutants",
    "dashboards",
    "docs",
    "documentation",
    "fuzz",
    "prose",
    "release",
    "repository",
    "simulator_details",
    "simulator_faults",
    "simulator_fleet",
    "simulator_query",
    "site",
    "soak",
    "translations",
    "users",
    "web_config",
    "workflows",
)
"""Unit tests that are not about the packages."""

INTEGRATION_TESTS: Final = (
    "accounts",
    "client",
    "collectors",
    "consistency",
    "credentials",
    "first_light",
    "launched_targets",
    "name_lookups",
    "projects",
    "refusals",
    "renewals",
    "retries",
    "temporary_keys",
    "transport",
)
"""Integration tests that run the packages in their own process. Those that start the exporter are left out."""

Killers: TypeAlias = dict[str, str | None]
"""The test that found each mutant, None for a survivor."""


def find_tests() -> list[Path]:
    """Return the files of the tests that may find mutants."""
    tests = trial.ROOT / "tests"
    unit = {file.stem.removeprefix("test_"): file for file in (tests / "unit").glob("test_*.py")}
    return [
        *(unit[name] for name in sorted(unit.keys() - set(OTHER_UNIT_TESTS))),
        *(tests / "integration" / f"test_{name}.py" for name in INTEGRATION_TESTS),
    ]


def find_modules(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Return the modules of the packages or, with names, those that begin with them, in the order of the names."""
    files = {f"exporter.{source.name}.{file.stem}": file for source in SOURCES for file in sorted(source.glob("*.py"))}
    chosen = dict.fromkeys(module for name in names or ("",) for module in files if module.startswith(name))
    for module in chosen:
        yield module, files[module].read_bytes()


def record_tests(files: Sequence[Path], tests: Collection[str]) -> None:
    """Run the tests of each file that has changed, to see which lines they execute."""
    for file in files:
        if not selection.is_recorded(file, BUILD, tests):
            _print(f"running {file.name}, to see which lines its tests execute …")
            process = os.fork()
            if not process:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                selection.record(file, SOURCES, BUILD)
                os._exit(0)
            os.waitpid(process, 0)


def load_killers(file: Path) -> Killers:
    """Return the results of earlier runs."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return dict(map(json.loads, lines))


class Trials:
    """Tries the mutants of one module after another."""

    def __init__(
        self, tests: selection.Selection, killers: Killers, file: TextIO, equivalent: Mapping[str, str]
    ) -> None:
        self._tests = tests
        self._killers = killers
        self._earlier = {key.partition(" ")[2]: killer for key, killer in killers.items() if killer is not None}
        self._file = file
        self._equivalent = equivalent

    def try_module(self, module: str, source: bytes) -> Counter[str]:
        """Try the mutants of a module, print survivors, and return how many were tried, killed or are equivalent."""
        counts: Counter[str] = Counter()
        unchanged = Mutant(module, "", 0, "", "", source)
        killers: dict[Mutant, str | None] = {}
        for mutant in find_mutants(module, source):
            if mutant.title in self._equivalent:
                counts["equivalent"] += 1
                continue
            killers[mutant] = self._find_killer(mutant, unchanged)
            if killers[mutant] is None:
                _print(f"survived: {mutant.title} (line {mutant.line})")
        unreliable = self._find_unreliable(sorted(filter(None, set(killers.values()))), unchanged)
        for mutant, killer in killers.items():
            counts["tried"] += 1
            counts["killed"] += killer is not None and killer not in unreliable
            if killer in unreliable:
                _print(f"not killed: {mutant.title} (line {mutant.line}): {killer} fails without it, too")
        return counts

    def _find_killer(self, mutant: Mutant, unchanged: Mutant) -> str | None:
        key = f"{hashlib.sha256(unchanged.source).hexdigest()[:8]} {mutant.title}"
        known = self._killers.get(key)
        # A test that has been removed since kills nothing.
        if known is None or known not in self._tests.seconds.keys() | {""}:
            parts = self._tests.tests_of(mutant.module, _list_changed_lines(mutant, unchanged.source))
            # What killed the same mutant before its module changed is likely to kill it now.
            earlier = self._earlier.get(mutant.title, "")
            likely = [[earlier]] if earlier in self._tests.seconds else []
            found = (self._try_part(mutant, unchanged, part) for part in (*likely, *parts))
            self._killers[key] = next((killer for killer in found if killer is not None), None)
            self._file.write(json.dumps([key, self._killers[key]]) + "\n")
            self._file.flush()
        return self._killers[key]

    def _try_part(self, mutant: Mutant, unchanged: Mutant, tests: Sequence[str]) -> str | None:
        killer = self._run(mutant, tests)
        if killer == "" and self._run(unchanged, tests) is not None:
            raise SystemExit(f"these tests cannot be run: {' '.join(tests)}")
        return killer

    def _find_unreliable(self, tests: Sequence[str], unchanged: Mutant) -> set[str]:
        """Return the tests that fail without a change."""
        unreliable: set[str] = set()
        while rest := [test for test in tests if test not in unreliable]:
            failing = self._run(unchanged, rest)
            if failing is None:
                break
            unreliable.add(failing)
        return unreliable

    def _run(self, mutant: Mutant, tests: Sequence[str]) -> str | None:
        return trial.find_failure(mutant, tests, self._tests.timeout(tests))


def _list_changed_lines(mutant: Mutant, source: bytes) -> Sequence[str]:
    """Return the lines that a mutant changes; none if they are executed once for all tests."""
    if mutant.is_executed_once:
        return ()
    lines = source.decode().splitlines()[mutant.line - 1 : mutant.line + mutant.before.count("\n")]
    return [line.strip() for line in lines]


def main() -> int:
    """Try all mutants; print survivors and the score, and return 1 if a survivor is not known as equivalent."""
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("modules", nargs="*", help="only modules that begin with this, such as exporter.polling")
    parser.add_argument("--write", action="store_true", help="write the table of docs/reliability.md")
    arguments = parser.parse_args()
    if arguments.write and arguments.modules:
        parser.error("--write: the table is of all modules")
    os.chdir(trial.ROOT)
    # Each mutant imports the project again: without compiled files that takes twice as long.
    sys.dont_write_bytecode = False
    files = find_tests()
    record_tests(files, trial.import_dependencies(files))
    equivalent: Mapping[str, str] = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or {}
    results = BUILD / "results.jsonl"
    when = describe_run()
    by_module: dict[str, Counter[str]] = {}
    with results.open("a", encoding="utf-8") as file:
        trials = Trials(selection.load(files, BUILD), load_killers(results), file, equivalent)
        for module, source in find_modules(arguments.modules):
            started = time.monotonic()
            by_module[module] = trials.try_module(module, source)
            _print(f"{module}: {_score(by_module[module])}, {time.monotonic() - started:.0f} s")
    total = sum(by_module.values(), Counter[str]())
    _print(f"all: {_score(total)}")
    if arguments.write:
        tables = {"mutants": list(render_rows(by_module)), "mutants-when": [when]}
        PAGE.write_text(replace_tables(PAGE.read_text(encoding="utf-8"), tables, "make mutants"), encoding="utf-8")
    return int(total["killed"] < total["tried"])


def render_rows(by_module: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Return the rows of the table of docs/reliability.md: of each module with mutants, and of all together."""
    total: Counter[str] = Counter()
    for module, counts in by_module.items():
        if any(counts.values()):
            yield _render_row(f"`{module.removeprefix('exporter.')}`", counts)
            total.update(counts)
    yield _render_row("all", total)


def _render_row(name: str, counts: Mapping[str, int]) -> str:
    tried, killed, equivalent = (counts.get(key, 0) for key in ("tried", "killed", "equivalent"))
    cells = (name, *(f"{number:,}" for number in (tried + equivalent, killed, equivalent, tried - killed)))
    return f"| {' | '.join(cells)} |"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _score(counts: Mapping[str, int]) -> str:
    tried, killed = counts.get("tried", 0), counts.get("killed", 0)
    return f"{killed} of {tried} killed, {counts.get('equivalent', 0)} equivalent"


if __name__ == "__main__":
    sys.exit(main())
