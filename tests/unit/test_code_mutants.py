"""The changes of the package that its tests must find."""

import ast
import importlib.util
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tools.code_mutants.__main__ import INTEGRATION_TESTS, OTHER_UNIT_TESTS, find_tests, render_rows
from tools.code_mutants.changes import find_mutants
from tools.code_mutants.selection import FIRST_SECONDS, MAX_SECONDS, MAX_TEST_SECONDS, Selection

ROOT = Path(__file__).parent.parent.parent
SOURCE = b"""
LIMIT: Final = 5
MAX_BYTES: Final = 2**16
T_co = TypeVar("T_co", covariant=True)

@dataclass(frozen=True)
class Queue:
    size: int = 1

    def add(self, item: str | None) -> bool:
        \"\"\"Add.\"\"\"
        log.debug("adding")
        del unused
        if item is not None and len(self.items) <= LIMIT:
            self.items.append(item)
            self.total += 2
            for each in zip(self.items, self.ids, strict=True):
                break
            return True
        raise Full(f"{1 + 1}")
"""


def test_every_kind_of_change_is_made_once_and_constants_decorators_and_debug_logs_are_left() -> None:
    condition = "item is not None and len(self.items) <= LIMIT"
    assert [mutant.title.removeprefix("queue:") for mutant in find_mutants("queue", SOURCE)] == [
        "Queue: 1 -> 2",
        f"Queue.add: {condition} -> (not ({condition}))",
        "Queue.add: and -> or",
        "Queue.add: is not -> is",
        "Queue.add: <= -> <",
        "Queue.add: self.items.append(item) -> pass",
        "Queue.add: self.total += 2 -> pass",
        "Queue.add: += -> -=",
        "Queue.add: 2 -> 3",
        "Queue.add: break -> continue",
        "Queue.add: True -> False",
        'Queue.add: raise Full(f"{1 + 1}") -> pass',
    ]


def test_what_is_executed_once_for_all_tests_is_known() -> None:
    cached = b"@cache\ndef build(size: int) -> int:\n    return size + 1\n"
    assert {mutant.function for mutant in find_mutants("queue", SOURCE + cached) if mutant.is_executed_once} == {
        "Queue",
        "build",
    }


def test_an_operator_has_the_line_of_its_left_side_which_can_decide_alone() -> None:
    source = b"def is_odd(number: int) -> bool:\n    return (\n        number % 2\n        or number == 7\n    )\n"
    lines = {mutant.before: mutant.line for mutant in find_mutants("odd", source)}
    assert (lines["%"], lines["or"], lines["=="]) == (3, 3, 4)


OWN, LONG, QUICK, OTHER = (
    "tests/unit/test_queue.py::test_own",
    "tests/integration/test_queue.py::test_long",
    "tests/unit/test_stack.py::test_quick",
    "tests/unit/test_stack.py::test_other",
)
SECONDS = {OWN: 3.0, LONG: MAX_TEST_SECONDS + 1, QUICK: 0.5, OTHER: FIRST_SECONDS}


def test_the_tests_named_after_a_module_come_first_then_the_quickest_and_last_its_long_ones() -> None:
    selection = Selection({"exporter.queue": {"return 1": {OWN, LONG, QUICK, OTHER}, "return 2": {OTHER}}}, SECONDS)
    assert selection.tests_of("exporter.queue", ["return 1"]) == [[OWN], [QUICK], [OTHER], [LONG]]
    assert selection.tests_of("exporter.queue", ["return 2"]) == [[OTHER]]


def test_tests_can_also_be_named_after_the_package_and_the_module() -> None:
    seconds = {"tests/unit/test_sms_queue.py::test_own": 2.0, "tests/unit/test_queue.py::test_own": 1.0}
    selection = Selection({"exporter.sms.queue": {"return 1": seconds.keys() | {QUICK}}}, {**seconds, QUICK: 0.5})
    first, second = selection.tests_of("exporter.sms.queue", ["return 1"])
    assert set(first) == seconds.keys()
    assert second == [QUICK]


def test_a_line_that_is_new_belongs_to_all_tests_of_its_module() -> None:
    tests = {"exporter.queue": {"return 1": {OWN}, "return 2": {QUICK}}, "exporter.x": {"": {LONG}}}
    for lines in (["return 3"], ["return 1", "return 2"]):
        assert Selection(tests, SECONDS).tests_of("exporter.queue", lines) == [[OWN], [QUICK]]


def test_a_line_that_is_new_since_the_tests_of_a_file_were_run_belongs_to_those_that_use_its_module() -> None:
    before, now = {"return 1": {QUICK}}, {"return 3": {OTHER}}
    selection = Selection({"exporter.queue": before | now}, SECONDS, {"exporter.queue": [before]})
    assert selection.tests_of("exporter.queue", ["return 3"]) == [[QUICK], [OTHER]]
    assert selection.tests_of("exporter.queue", ["return 1"]) == [[QUICK]]


def test_what_the_import_executes_may_matter_to_all_tests_those_of_the_module_first() -> None:
    for tests in ({}, {"exporter.queue": {"return 1": {OTHER}}}):
        first, *parts = Selection(tests, SECONDS).tests_of("exporter.queue", [])
        assert first == [OWN]
        assert parts == ([[OTHER], [QUICK], [LONG]] if tests else [[QUICK], [OTHER], [LONG]])


def test_only_the_quickest_tests_of_other_modules_are_run() -> None:
    seconds = {f"tests/unit/test_stack.py::test_{number:02}": 1.0 for number in range(30)}
    selection = Selection({"exporter.queue": {"return 1": set(seconds)}}, seconds)
    first, second = selection.tests_of("exporter.queue", ["return 1"])
    assert (len(first), len(first) + len(second)) == (FIRST_SECONDS, MAX_SECONDS)


def test_the_table_has_the_modules_with_mutants_and_their_sums() -> None:
    counts = {
        "exporter.sms.a": Counter(tried=5, killed=4, equivalent=2),
        "exporter.sms.b": Counter(tried=1500, killed=1500),
        "exporter.sms.c": Counter[str](),
    }
    assert list(render_rows(counts)) == [
        "| `sms.a` | 7 | 4 | 2 | 1 |",
        "| `sms.b` | 1,500 | 1,500 | 0 | 0 |",
        "| all | 1,507 | 1,504 | 2 | 1 |",
    ]


def test_every_file_of_tests_that_is_named_exists() -> None:
    files = {file.relative_to(ROOT / "tests").as_posix() for file in find_tests()}
    assert files >= {f"integration/test_{name}.py" for name in INTEGRATION_TESTS}
    assert all((ROOT / "tests" / "unit" / f"test_{name}.py").exists() for name in OTHER_UNIT_TESTS)
    assert not files & {f"unit/test_{name}.py" for name in OTHER_UNIT_TESTS}


@pytest.mark.parametrize("package", ["sms", "polling", "exposition", "auth", "http", "settings"])
def test_every_mutant_is_a_program_and_has_a_title_of_its_own(package: str) -> None:
    for file in sorted((ROOT / "exporter" / package).glob("*.py")):
        mutants = list(find_mutants(file.stem, file.read_bytes()))
        assert len({mutant.title for mutant in mutants}) == len(mutants)
        # Each change is tried in a file of its own; to parse a few of them shows that places are right.
        for mutant in mutants[::50]:
            assert ast.parse(mutant.source).body, mutant.title


def test_changes_that_no_test_can_notice_exist() -> None:
    known = yaml.safe_load((ROOT / "tools" / "code_mutants" / "equivalent.yml").read_text(encoding="utf-8"))
    for title in known:
        module = title.partition(":")[0]
        found = importlib.util.find_spec(module)
        assert found, title
        assert found.origin, title
        source = Path(found.origin).read_bytes()
        assert title in {mutant.title for mutant in find_mutants(module, source)}, title
