"""YAML files, read strictly: one mapping, no duplicate keys, bounded size and depth, and errors that name the line.

Every scalar is text as it is written: `007` and `yes` stay what they are until an option decides what it accepts.
So a value means the same in a file, a flag and a variable.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.errors import ConfigurationError, mask_credentials
from exporter.settings.document import Document, Location, PlainText
from exporter.settings.files import read_regular_file

MAX_FILE_BYTES: Final = 2**20
MAX_DEPTH: Final = 50

_TAG: Final = "tag:yaml.org,2002:"
_NULL: Final = f"{_TAG}null"
_MERGE: Final = f"{_TAG}merge"
_SCALAR_TAGS: Final = frozenset(f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "timestamp", "value"))


def parse_yaml(content: bytes, source: str) -> Document:
    """Parse a mapping; an empty file is an empty mapping.

    Raise ConfigurationError for anything else. `source` is the name of the file in its message.
    """
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        root = loader.get_single_node()
        tree = _Constructor().construct(root) if root is not None else None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{source}: is not UTF-8 text"]) from None
    except RecursionError:
        raise ConfigurationError([f"{source}: is nested too deeply"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise ConfigurationError([f"{source}{place}: {_explain(error)}"]) from None
    except yaml.reader.ReaderError as error:
        raise ConfigurationError([f"{source}: contains the control character #x{error.character:04x}"]) from None
    if tree is not None and not isinstance(tree, dict):
        kind = "a list" if isinstance(tree, list) else "a single value"
        raise ConfigurationError([f"{source}: must be a mapping (key: value), not {kind}"])
    return Document(tree or {}, partial(_find_line, root), get_digest(content))


def get_digest(content: bytes) -> str:
    """Return a digest of the content of a file."""
    return sha256(content).hexdigest()


def read_yaml(path: Path, option: str) -> Document:
    """Read the file that an option names. Raise ConfigurationError if it cannot be used."""
    try:
        content = read_regular_file(path, MAX_FILE_BYTES)
    except OSError as error:
        shown = mask_credentials(str(path))  # It can be a URL by mistake.
        raise ConfigurationError([f"{option}: {shown}: cannot be read: {error.strerror}"]) from None
    return parse_yaml(content, str(path))


class _Problem(yaml.MarkedYAMLError):
    """A use of YAML that is not allowed here."""


class _Loader(yaml.SafeLoader):
    """Composes the nodes of a document that is not deeply nested, for which PyYAML takes quadratic time."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: ANN401, N803 - as inherited
        """Raise RecursionError if flow collections are nested too deeply."""
        if self.flow_level > MAX_DEPTH:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)


class _Constructor:
    """Builds text, lists and dicts from nodes. A node with several aliases is built once."""

    def __init__(self) -> None:
        self._built: dict[int, Any] = {}

    def construct(self, node: yaml.Node, depth: int = 0) -> Any:  # noqa: ANN401 - any YAML
        """Return the value of a node."""
        if depth > MAX_DEPTH:  # Also ends a node that contains itself.
            raise RecursionError
        if id(node) not in self._built:
            self._built[id(node)] = self._build(node, depth)
        return self._built[id(node)]

    def _build(self, node: yaml.Node, depth: int) -> Any:  # noqa: ANN401 - any YAML
        match node:
            case yaml.MappingNode(tag=tag) if tag == f"{_TAG}map":
                pairs, merged = _split(node)
                mapping = {key.value: self.construct(child, depth + 1) for key, child in pairs}
                for other in merged:
                    mapping = self.construct(other, depth + 1) | mapping
                return mapping
            case yaml.SequenceNode(tag=tag) if tag == f"{_TAG}seq":
                return [self.construct(child, depth + 1) for child in node.value]
            case yaml.ScalarNode(tag=tag) if tag == _NULL and node.value:
                return None
            case yaml.ScalarNode(tag=tag) if tag in _SCALAR_TAGS | {_NULL}:
                return PlainText(node.value) if node.style is None else node.value
        raise _Problem(None, None, "tags are not supported: put a value that begins with ! in quotes", node.start_mark)


def _split(node: yaml.MappingNode) -> tuple[list[tuple[yaml.ScalarNode, yaml.Node]], list[yaml.MappingNode]]:
    """Return the keys and values of a mapping, and the mappings that it merges (`<<`). Raise _Problem."""
    pairs: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
    merged: list[yaml.MappingNode] = []
    for key, child in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Problem(None, None, "a key must be text", key.start_mark)
        if key.value in pairs:
            raise _Problem(None, None, "a duplicate key: keep one", key.start_mark)
        if key.tag != _MERGE:
            pairs[key.value] = key, child
            continue
        merged += child.value if isinstance(child, yaml.SequenceNode) else [child]
        if not all(isinstance(mapping, yaml.MappingNode) for mapping in merged):
            raise _Problem(None, None, "<< must be followed by an alias of a mapping", child.start_mark)
    return list(pairs.values()), merged


def _find_line(root: yaml.Node | None, location: Location) -> int | None:
    """Return the line of a key or a list item; None if the document does not have it."""
    node, mark = root, None
    for part in location:
        node, mark = _find_child(node, part)
    return mark.line + 1 if mark is not None else None


def _find_child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Mark | None]:
    """Return a value of a mapping or an item of a list, and its place; None if there is none."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark
    if isinstance(node, yaml.MappingNode):
        for key, child in _all_pairs(node):
            if key.value == part:
                return child, key.start_mark
    return None, None


def _all_pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the keys and values of a mapping, then those that it merges: of equal keys the first one counts."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        mapping = waiting.pop()
        # Without this check, mappings that merge the same one twice would double the work at each level.
        if id(mapping) not in seen:
            seen.add(id(mapping))
            pairs, merged = _split(mapping)
            yield from pairs
            waiting += reversed(merged)


def _explain(error: yaml.MarkedYAMLError) -> str:
    """Return the problem, without the text of the file, which can be a secret."""
    problem = error.problem or ""
    for pattern, explanation in _EXPLANATIONS.items():
        if found := re.search(pattern, problem):
            return found.expand(explanation)
    if isinstance(error, _Problem | yaml.scanner.ScannerError | yaml.parser.ParserError):
        return re.sub(r"but (found|got) '<stream end>'", "but the file ends", problem)
    return "is not valid YAML"


_EXPLANATIONS: Final[Mapping[str, str]] = {
    r"undefined alias": "an alias without an anchor: put a value that begins with * in quotes",
    r"undefined tag handle": "tags are not supported: put a value that begins with ! in quotes",
    r"another document": "a second document begins: keep one",
    r"mapping values": "a key is not allowed here: check the indentation, or put a value with a colon in quotes",
    r"character '\\t' that cannot": "indented with a tab: use spaces",
    r"character ('.') that cannot": r"a value cannot begin with \1: put it in quotes",
    r"unexpected end of stream": "the file ends inside a value in quotes",
}
"""Explanations by a pattern of PyYAML's message."""
