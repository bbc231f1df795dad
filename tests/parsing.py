"""A quick parser of the text format, for tests that read many samples; a test compares it with prometheus-client."""

import re
from collections.abc import Iterator
from typing import Final

Labels = frozenset[tuple[str, str]]

_PAIR: Final = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*"'
_SAMPLE: Final = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{((?:{_PAIR}(?:,|(?=\}})))*)\}})? (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")


def parse_samples(text: str) -> Iterator[tuple[str, Labels, float]]:
    """Return the name, labels and value of each sample. Raise AssertionError if a line is malformed."""
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups(default="")
        pairs = _LABEL.findall(labels)
        if "\\" in labels:
            pairs = [(label, _ESCAPED.sub(_unescape, content)) for label, content in pairs]
        assert len({label for label, _ in pairs}) == len(pairs), line
        yield name, frozenset(pairs), float(value)


def _unescape(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
