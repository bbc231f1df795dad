"""Which tests execute which lines, and how long each takes: one run of all tests with coverage."""

import json
import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

import coverage
import pytest

from tools.code_mutants.trial import QUIET, ROOT

MAX_TEST_SECONDS: Final = 5.0
"""Longer tests are left out: each would run for each mutant of each line that it executes."""

FIRST_SECONDS: Final = 2.0
"""How long the tests that are tried first take together."""

MAX_SECONDS: Final = 20.0
"""How long all tests of a mutant take together: for a line that hundreds of tests execute, the quickest will do."""

MIN_TIMEOUT_SECONDS: Final = 10.0
"""Timeout of tests that take no time."""


@dataclass(frozen=True)
class Selection:
    """The tests that execute each line of each module, and the seconds of each test."""

    tests: Mapping[str, Mapping[int, Sequence[str]]]
    seconds: Mapping[str, float]

    def tests_of(self, module: str, line: int) -> Sequence[Sequence[str]]:
        """Return the tests that may find a change of a line: those in the file of the module, then the quickest.

        They come in parts, of which each is needed only if no test of those before it fails.
        """
        lines = self.tests.get(module, {})
        # A line that is executed when the module is imported belongs to every test that uses the module.
        ids = lines.get(line) or [test for tests in lines.values() for test in tests]
        own = f"tests/unit/test_{module.rsplit('.', 1)[1]}.py"
        order = sorted((test for test in set(ids) if not test.startswith(own)), key=self.seconds.__getitem__)
        ends = list(accumulate(self.seconds[test] for test in order))
        first, last = (bisect(ends, seconds) for seconds in (FIRST_SECONDS, MAX_SECONDS))
        file = [own] if (ROOT / own).exists() else []
        return [part for part in (file, order[:first], order[first:last]) if part]

    def timeout(self, tests: Sequence[str]) -> float:
        """Return after how many seconds tests must hang: several times as long as they took."""
        seconds = sum(self.seconds[test] for test in self.seconds if test.startswith(tuple(tests)))
        return MIN_TIMEOUT_SECONDS + 4 * seconds


class _Recorder:
    """A plugin of pytest that starts a context of coverage for each test, and measures it."""

    def __init__(self, measurement: coverage.Coverage) -> None:
        self._coverage = measurement
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        started = time.monotonic()
        self._coverage.switch_context(item.nodeid)
        result = yield
        self._coverage.switch_context("")
        self.seconds[item.nodeid] = round(time.monotonic() - started, 3)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


def record(arguments: Sequence[str], source: Path, file: Path) -> None:
    """Run tests with coverage, and write which of them execute which lines."""
    measurement = coverage.Coverage(data_file=None, source=[str(source)], branch=False, config_file=False)
    recorder = _Recorder(measurement)
    measurement.start()
    pytest.main([*arguments, "-q", *QUIET, "-p", "no:cov"], plugins=[recorder])
    measurement.stop()
    data = measurement.get_data()
    usable = {test for test, seconds in recorder.seconds.items() if seconds <= MAX_TEST_SECONDS} - recorder.failed
    tests: dict[str, dict[int, list[str]]] = defaultdict(dict)
    for name in data.measured_files():
        path = Path(name)
        module = ".".join(path.relative_to(source.parent).with_suffix("").parts)
        for line, contexts in data.contexts_by_lineno(name).items():
            tests[module][line] = sorted(usable.intersection(contexts))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"tests": tests, "seconds": recorder.seconds}), encoding="utf-8")


def load(file: Path) -> Selection:
    """Read what `record` wrote."""
    content = json.loads(file.read_text(encoding="utf-8"))
    tests = {module: {int(line): ids for line, ids in lines.items()} for module, lines in content["tests"].items()}
    return Selection(tests, content["seconds"])
