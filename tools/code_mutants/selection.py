"""Which tests execute which lines, and the CPU time of each: one run of the tests of each file with coverage.

A line is known by its text: an edit of a module loses what is known of the edited lines only. The tests of a file are
run again after it has changed.
"""

import hashlib
import json
import signal
import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, TypeAlias

import coverage
import pytest

from tools.code_mutants.trial import QUIET, ROOT, WithoutShrinking

MAX_TEST_SECONDS: Final = 5.0
"""A longer test is interrupted when lines are recorded, and is run only for the module that it is named after."""

FIRST_SECONDS: Final = 2.0
"""How long the tests that are tried first take together."""

MAX_SECONDS: Final = 20.0
"""How long all tests of a mutant take together: for a line that hundreds of tests execute, the quickest will do."""

MIN_TIMEOUT_SECONDS: Final = 3.0
"""Timeout of tests that take no time."""

TestsByLine: TypeAlias = Mapping[str, Collection[str]]
"""Tests by the text of a line that they execute."""


@dataclass(frozen=True)
class Selection:
    """The tests that execute each line of each module, by the text of the line, and the CPU seconds of each test.

    `outdated` has, by module, the tests by line of each file of tests that was run before the module changed.
    """

    tests: Mapping[str, TestsByLine]
    seconds: Mapping[str, float]
    outdated: Mapping[str, Sequence[TestsByLine]] = field(default_factory=dict)

    def tests_of(self, module: str, changed: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return the tests that may find a change of some lines; without lines, of what the import executes.

        First come those of the files that are named after the module, then the quickest of all others, last the long
        ones of those files. They come in parts, of which each is needed only if no test of those before it fails.
        """
        lines = self.tests.get(module, {})
        used = _list_tests(lines)
        ids = {test for line in changed for test in lines.get(line, ())}
        # A line that is new since the tests of a file were run may be executed by all of them that use the module.
        ids |= {
            test
            for known in self.outdated.get(module, ())
            if any(line not in known for line in changed)
            for test in _list_tests(known)
        }
        # What the import executes can matter to any test.
        ids = ids or (used if changed else set()) or set(self.seconds)
        order = sorted(ids, key=lambda test: (test not in used, self.seconds[test], test))
        quick = [test for test in order if self.seconds[test] <= MAX_TEST_SECONDS]
        own_files = _list_own_files(module)
        own = [test for test in quick if _get_file_name(test) in own_files]
        others = [test for test in quick if _get_file_name(test) not in own_files]
        ends = list(accumulate(self.seconds[test] for test in others))
        first, last = (bisect(ends, seconds) for seconds in (FIRST_SECONDS, MAX_SECONDS))
        long = [test for test in order if self.seconds[test] > MAX_TEST_SECONDS and _get_file_name(test) in own_files]
        return [part for part in (own, others[:first], others[first:last], long) if part]

    def timeout(self, tests: Sequence[str]) -> float:
        """Return after how much CPU time tests must hang: more than twice as much as they took with coverage."""
        return MIN_TIMEOUT_SECONDS + 2 * sum(self.seconds[test] for test in tests)


class _TooLong(BaseException):
    """A test is interrupted."""


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise _TooLong


class _Recorder:
    """A plugin of pytest that starts a context of coverage for each test, measures it, and interrupts long ones."""

    def __init__(self, measurement: coverage.Coverage) -> None:
        self._coverage = measurement
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        started = time.process_time()
        self._coverage.switch_context(item.nodeid)
        # An exception in a callback of the event loop is only logged, so the interruption is repeated.
        signal.setitimer(signal.ITIMER_PROF, MAX_TEST_SECONDS, 1.0)
        try:
            result = yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            self._coverage.switch_context("")
            self.seconds[item.nodeid] = round(time.process_time() - started, 3)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


def record(file: Path, sources: Sequence[Path], folder: Path) -> None:
    """Run the tests of a file with coverage, and write to `folder` which of them execute which lines of `sources`."""
    measurement = coverage.Coverage(data_file=None, source=list(map(str, sources)), branch=False, config_file=False)
    recorder = _Recorder(measurement)
    signal.signal(signal.SIGPROF, _interrupt)
    measurement.start()
    pytest.main([str(file.relative_to(ROOT)), "-q", *QUIET, "-p", "no:cov"], plugins=[recorder, WithoutShrinking()])
    measurement.stop()
    data = measurement.get_data()
    usable = {
        test for test, seconds in recorder.seconds.items() if test not in recorder.failed or seconds > MAX_TEST_SECONDS
    }
    tests: dict[str, dict[str, set[str]]] = {}
    for name in data.measured_files():
        path = Path(name)
        texts = path.read_text(encoding="utf-8").splitlines()
        lines = tests[".".join(path.relative_to(ROOT).with_suffix("").parts)] = defaultdict(set)
        for line, contexts in data.contexts_by_lineno(name).items():
            lines[texts[line - 1].strip()] |= usable.intersection(contexts)
    order = sorted(usable)
    numbers = {test: number for number, test in enumerate(order)}
    content = {
        "digest": _digest(file),
        "modules": {module: _digest(_find_source(module)) for module in tests},
        "seconds": {test: recorder.seconds[test] for test in order},
        "tests": {
            module: {text: sorted(map(numbers.__getitem__, ids)) for text, ids in lines.items() if ids}
            for module, lines in tests.items()
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    _record_file(file, folder).write_text(json.dumps(content), encoding="utf-8")


def is_recorded(file: Path, folder: Path, tests: Collection[str]) -> bool:
    """Return whether the tests of a file were recorded since it changed, and all of them are still among `tests`."""
    written = _record_file(file, folder)
    if not written.exists():
        return False
    content = json.loads(written.read_bytes())
    return content["digest"] == _digest(file) and set(tests).issuperset(content["seconds"])


def load(files: Sequence[Path], folder: Path) -> Selection:
    """Read what `record` wrote of some files."""
    tests: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    seconds: dict[str, float] = {}
    outdated: dict[str, list[TestsByLine]] = defaultdict(list)
    for file in files:
        content = json.loads(_record_file(file, folder).read_bytes())
        seconds |= content["seconds"]
        ids = list(content["seconds"])
        for module, lines in content["tests"].items():
            by_line = {text: {ids[number] for number in numbers} for text, numbers in lines.items()}
            for text, executing in by_line.items():
                tests[module][text] |= executing
            source = _find_source(module)
            if not source.exists() or content.get("modules", {}).get(module) != _digest(source):
                outdated[module].append(by_line)
    return Selection(tests, seconds, outdated)


def _list_own_files(module: str) -> Collection[str]:
    """Return the names of the files of tests that may be named after a module: with its package if another has it."""
    *_, package, name = module.split(".")
    return (f"test_{name}.py", f"test_{package}_{name}.py")


def _get_file_name(test: str) -> str:
    return test.partition("::")[0].rpartition("/")[2]


def _list_tests(lines: TestsByLine) -> set[str]:
    return {test for tests in lines.values() for test in tests}


def _find_source(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _record_file(file: Path, folder: Path) -> Path:
    return folder / f"{file.parent.name}-{file.stem}.json"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
