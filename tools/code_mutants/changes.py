"""The mutants of a module: its source with one small change each."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

COMPARISONS: Final[Mapping[str, str]] = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
}
ARITHMETIC: Final[Mapping[str, str]] = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "**": "*"}
BOOLEAN: Final[Mapping[str, str]] = {"and": "or", "or": "and"}
_BOUNDARY: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)

Span: TypeAlias = tuple[int, int]
"""The first byte of a piece of the source, and the byte after its last."""

Change: TypeAlias = tuple[Span, str]
"""What is replaced, and by what."""


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    function: str
    line: int
    before: str
    after: str
    source: bytes
    place: int = 1
    """Which of the same changes of the function it is."""
    is_executed_once: bool = False
    """Whether the import of the module executes the change, or the first call of a function whose result is cached."""

    @property
    def title(self) -> str:
        """Return the function and the change, without a line number: lines move with every edit."""
        number = f" #{self.place}" if self.place > 1 else ""
        return " ".join(f"{self.module}:{self.function}: {self.before} -> {self.after}{number}".split())


def find_mutants(module: str, source: bytes) -> Iterator[Mutant]:
    """Return all mutants of a module."""
    counts: Counter[tuple[str, str, str]] = Counter()
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    for function, line, is_executed_once, (start, end), after in finder.found:
        before = source[start:end].decode()
        counts[function, before, after] += 1
        changed = source[:start] + after.encode() + source[end:]
        place = counts[function, before, after]
        yield Mutant(module, function, line, before, after, changed, place, is_executed_once)


class _Finder(ast.NodeVisitor):
    """Collects changes. What is only for type checkers, and what is only logged for debugging, is left out."""

    def __init__(self, source: bytes) -> None:
        self.found: list[tuple[str, int, bool, Span, str]] = []
        self._source = source
        self._lines = [0, *(found.end() for found in re.finditer(rb"\n", source))]
        self._scope: list[str] = []
        self._functions = 0

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None  # noqa: S101 - narrows the type for mypy
        assert node.end_col_offset is not None  # noqa: S101 - as above
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def _add(self, line: int, change: Change) -> None:
        self.found.append((".".join(self._scope), line, not self._functions, *change))

    def _replace(self, node: ast.expr | ast.stmt, after: str) -> None:
        self._add(node.lineno, ((self._start(node), self._end(node)), after))

    def _replace_operator(self, left: ast.expr, right: ast.expr, replacements: Mapping[str, str]) -> None:
        start, end = self._end(left), self._start(right)
        words = sorted(replacements, key=len, reverse=True)
        pattern = "|".join(rf"\b{re.escape(word)}\b" if word.isalpha() else re.escape(word) for word in words)
        between = re.sub(rb"#.*", lambda comment: b" " * len(comment[0]), self._source[start:end])
        if found := re.search(pattern.replace(r"\ ", r"\s+").encode(), between):
            word = " ".join(found[0].decode().split())
            # Tests that the left side decides never execute the line of an operator below it.
            line = self._source.count(b"\n", 0, start) + 1
            self._add(line, ((start + found.start(), start + found.end()), replacements[word]))

    def _negate(self, test: ast.expr) -> None:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and not isinstance(test.ops[0], _BOUNDARY):
            return
        text = self._source[self._start(test) : self._end(test)].decode()
        self._replace(test, f"(not ({text}))")

    def _visit_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._scope.append(node.name)
        is_executed_once = isinstance(node, ast.ClassDef) or any(map(_is_cache, node.decorator_list))
        if not isinstance(node, ast.ClassDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
        self._functions += not is_executed_once
        for statement in node.body:
            self.visit(statement)
        self._functions -= not is_executed_once
        self._scope.pop()

    visit_FunctionDef = _visit_scope  # noqa: N815 - the name that ast requires
    visit_AsyncFunctionDef = _visit_scope  # noqa: N815 - as above
    visit_ClassDef = _visit_scope  # noqa: N815 - as above

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and ast.unparse(node.annotation) != "TypeAlias":
            self._drop_if_stored(node, [node.target])
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave it out: it is for type checkers."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if not (isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "TypeVar"):
            self._drop_if_stored(node, node.targets)
            self.visit(node.value)

    def _drop_if_stored(self, node: ast.stmt, targets: list[ast.expr]) -> None:
        """Drop an assignment if that is noticed as a wrong value, not as an unknown name."""
        if any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets):
            self._replace(node, "pass")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self._replace_operator(node.target, node.value, {f"{one}=": f"{other}=" for one, other in ARITHMETIC.items()})
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self._replace(node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        if "AssertionError" in ast.unparse(node):
            return
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if not isinstance(call, ast.Call) or ast.unparse(call.func) == "log.debug":
            return
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not isinstance(node.value, ast.Constant):
            self._replace(node.value, "None")
        self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, right in pairwise((node.left, *node.comparators)):
            self._replace_operator(left, right, COMPARISONS)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in pairwise(node.values):
            self._replace_operator(left, right, BOOLEAN)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not self._scope and all(isinstance(side, ast.Constant) for side in (node.left, node.right)):
            return  # A named constant, as below.
        if not any(_is_text(side) for side in (node.left, node.right)):
            self._replace_operator(node.left, node.right, ARITHMETIC)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add(node.lineno, ((self._start(node), self._start(node) + len("not")), ""))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int | float) and self._scope:
            # Outside of functions and classes are named constants, which tests use by their names.
            self._replace(node, str(node.value + 1))

    def visit_keyword(self, node: ast.keyword) -> None:
        """Leave out `strict=True` of zip: it is an assertion."""
        if node.arg != "strict":
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave out what is formatted: its positions are not those of the source before Python 3.12."""


def _is_cache(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith(("cache", "lru_cache"))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
