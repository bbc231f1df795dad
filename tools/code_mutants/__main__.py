"""`python -m tools.code_mutants [MODULE …]`: change the package in many small ways; the tests must find each change.

Without modules, all modules of PACKAGES are changed. Results are kept in build/mutants, so that a run that was stopped
continues. Survivors are printed; those that no test can notice are in equivalent.yml with the reason.

mutmut leaves out decorated functions (validators, properties, context managers) and classes' fields, and cosmic-ray
starts Python for each mutant, which takes days here.
"""

import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from tools.code_mutants import selection, trial
from tools.code_mutants.changes import find_mutants

PACKAGES: Final = ("sms", "polling", "exposition", "auth", "http", "settings")
BUILD: Final = trial.ROOT / "build" / "mutants"
TESTS: Final = (
    "tests/unit",
    *(
        f"tests/integration/test_{name}.py"
        for name in (
            "accounts",
            "client",
            "collectors",
            "credentials",
            "refusals",
            "renewals",
            "retries",
            "temporary_keys",
            "transport",
        )
    ),
)
"""Tests that run the packages in their own process. Those that start the exporter as a program are left out."""

EQUIVALENT: Final = Path(__file__).parent / "equivalent.yml"


def find_modules(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Return the modules of the packages or, with names, those that begin with one of them."""
    for package in PACKAGES:
        for file in sorted((trial.ROOT / "exporter" / package).glob("*.py")):
            name = f"exporter.{package}.{file.stem}"
            if not names or name.startswith(tuple(names)):
                yield name, file.read_bytes()


def load_results(file: Path) -> dict[str, bool]:
    """Return which mutants were killed in earlier runs on the same source."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return dict(map(json.loads, lines))


def main(names: Sequence[str]) -> int:
    """Try all mutants; print survivors and the score, and return 1 if a survivor is not known as equivalent."""
    os.chdir(trial.ROOT)
    lines = BUILD / "lines.json"
    if not lines.exists():
        _print("running all tests once, to see which of them execute which lines …")
        process = os.fork()
        if not process:
            selection.record(TESTS, trial.ROOT / "exporter", lines)
            os._exit(0)
        os.waitpid(process, 0)
    tests = selection.load(lines)
    trial.import_dependencies(TESTS)
    equivalent: Mapping[str, str] = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or {}
    results = load_results(BUILD / "results.jsonl")
    counts: Counter[str] = Counter()
    with (BUILD / "results.jsonl").open("a", encoding="utf-8") as file:
        for module, source in find_modules(names):
            started = time.monotonic()
            digest = hashlib.sha256(source).hexdigest()[:8]
            own: Counter[str] = Counter()
            for mutant in find_mutants(module, source):
                own["equivalent" if mutant.title in equivalent else "tried"] += 1
                if mutant.title in equivalent:
                    continue
                key = f"{digest} {mutant.title}"
                if not results.get(key):
                    parts = tests.tests_of(mutant.module, mutant.line)
                    results[key] = any(trial.fails(mutant, part, tests.timeout(part)) for part in parts)
                    file.write(json.dumps([key, results[key]]) + "\n")
                    file.flush()
                own["killed"] += results[key]
                if not results[key]:
                    _print(f"survived: {mutant.title} (line {mutant.line})")
            counts += own
            _print(f"{module}: {_score(own)}, {time.monotonic() - started:.0f} s")
    _print(f"all: {_score(counts)}")
    return int(counts["killed"] < counts["tried"])


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _score(counts: Mapping[str, int]) -> str:
    tried, killed = counts.get("tried", 0), counts.get("killed", 0)
    return f"{killed} of {tried} killed, {counts.get('equivalent', 0)} equivalent"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
