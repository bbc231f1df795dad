"""Finds phrases that readers stumble over: `python -m tools.prose [FILE …]`, by default in all files of the repository.

Looks at prose of every kind: pages, comments, docstrings, messages, HELP strings and the names of tests.
Prints one line per phrase and exits with 1 if there is any.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]

PHRASES: Final[Mapping[str, str]] = {
    r"anew": "again",
    r"(?:is|are|was|were|be|been) told": "is reported, shown, logged or notified",
    r"(?:told|tells?|heard?|hears) of": "reports, shows, has received",
    r"(?:lets?|leads?) in": "authenticates",
    r"bytes across|(?:is|are|be) across": "replicated",
    r"parted by": "separated by",
    r"what becomes of": "what happens to",
    r"goes on to": "continues to",
    r"stands still": "stalls",
    r"slowest hundredth": "p99",
    r"needs? a person": "needs attention",
    r"asked to end": "stopped",
    r"mend(?:s|ed|ing)?": "fix",
    r"longest (?:wait|silence)": "timeout",
    r"most (?!of )[a-z ]{1,24}(?:a second|at once)": "maximum … per second, maximum concurrent …",
    r"one an? (?:server|account|poll|target|file|module|line)": "one per …",
}
"""Regular expressions of phrases that are always wrong here, and what to write instead."""

# A phrase may be wrapped over two lines.
_WRAPPED: Final = (phrase.replace(" ", r"\s+") for phrase in PHRASES)
_PHRASE: Final = re.compile(r"\b(?:" + "|".join(f"({phrase})" for phrase in _WRAPPED) + r")\b", re.IGNORECASE)
_DOCSTRING: Final = re.compile(r"(?:Gives?|Tells?|Hears?)\b")
_ENDINGS: Final = (".py", ".md", ".yml", ".yaml", ".html", ".toml", ".tpl", ".txt", ".sh", ".service", ".socket")
_NAMES: Final = ("Makefile", "Dockerfile", "run")
_NOT_OURS: Final = ("tests/data/", "requirements/", "tools/prose.py", "tests/unit/test_prose.py", "LICENSE")


class Finding(NamedTuple):
    """A phrase that a reader stumbles over, and what to write instead."""

    line: int
    phrase: str
    instead: str


def find_phrases(text: str, *, is_python: bool) -> list[Finding]:
    """Return what is wrong in the text of one file, in the order of lines."""
    if not is_python:
        return _in_prose(text, 1)
    return sorted(finding for line, prose in _python_prose(text) for finding in _in_prose(prose, line)) + sorted(
        _in_docstrings(text)
    )


def _in_prose(prose: str, first_line: int) -> list[Finding]:
    return [
        Finding(
            first_line + prose.count("\n", 0, match.start()),
            " ".join(match[0].split()),
            tuple(PHRASES.values())[(match.lastindex or 1) - 1],
        )
        for match in _PHRASE.finditer(prose)
    ]


def _python_prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each comment, string constant and test name."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str() as text):
                yield node.lineno, text
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield node.lineno, name.replace("_", " ")


def _in_docstrings(source: str) -> Iterator[Finding]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            begins = _DOCSTRING.match(ast.get_docstring(node) or "")
            if begins:
                line = node.body[0].lineno
                yield Finding(line, f'a docstring that begins with "{begins[0]}"', "Return …, Read …, or a noun phrase")


def _files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return [
        ROOT / name
        for name in listed.stdout.splitlines()
        if name.endswith((*_ENDINGS, *_NAMES)) and not name.startswith(_NOT_OURS) and (ROOT / name).is_file()
    ]


def main(arguments: list[str]) -> int:
    """Print what is wrong in the files, and return the exit code."""
    failed = False
    for file in [Path(argument) for argument in arguments] or _files():
        text = file.read_text(encoding="utf-8")
        for line, phrase, instead in find_phrases(text, is_python=file.suffix == ".py"):
            name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
            print(f"{name}:{line}: {phrase}: write {instead}")  # noqa: T201 - its output
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
