"""The changes of the package that its tests must find."""

import ast
from pathlib import Path

import pytest
import yaml

from tools.code_mutants.changes import find_mutants

ROOT = Path(__file__).parent.parent.parent
SOURCE = b"""
LIMIT: Final = 5

@dataclass(frozen=True)
class Queue:
    size: int = 1

    def add(self, item: str | None) -> bool:
        \"\"\"Add.\"\"\"
        log.debug("adding")
        if item is not None and len(self.items) <= LIMIT:
            self.items.append(item)
            self.total += 2
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
        "Queue.add: True -> False",
        'Queue.add: raise Full(f"{1 + 1}") -> pass',
    ]


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
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_bytes()
        assert title in {mutant.title for mutant in find_mutants(module, source)}, title
