"""Files of YAML read strictly: one mapping, no key twice, and faults that name the place and show no value."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.errors import ConfigurationError

_TEXT: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"


class _KeyError(yaml.constructor.ConstructorError):
    """A key that cannot be one."""


class _StrictLoader(yaml.SafeLoader):
    """A loader to which a key that is given twice, or is no text, is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Give a mapping. Raises _KeyError."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in {_TEXT, _MERGE}:
                told = key.value if isinstance(key, yaml.ScalarNode) else "this key"
                raise _KeyError(None, None, f"{told} is no text: put it in quotes", key.start_mark)
            if key.value in seen:
                raise _KeyError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(content: bytes, source: str) -> dict[str, Any]:
    """Read a mapping, which an empty file has without keys.

    `source` names the file, and the option that gave it, in the ConfigurationError that is raised for anything else.
    """
    try:
        tree = yaml.load(content.decode("utf-8"), _StrictLoader)  # noqa: S506 - it is a SafeLoader
    except UnicodeDecodeError:
        raise ConfigurationError([f"{source}: it is not UTF-8"]) from None
    except RecursionError:
        raise ConfigurationError([f"{source}: it is nested too deep"]) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        # Of an alias or a tag it would repeat what may be a secret.
        told = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError | _KeyError)
        problem = (told and getattr(error, "problem", None)) or "it is not YAML"
        raise ConfigurationError([f"{source}{place}: {problem}"]) from None
    if tree is not None and not isinstance(tree, dict):
        raise ConfigurationError([f"{source}: it must hold a mapping, not a {type(tree).__name__}"])
    return tree or {}


def read_file(path: Path, option: str) -> dict[str, Any]:
    """Read the mapping of the file that an option names. Raises ConfigurationError, also where there is no file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{option}: {path} cannot be read: {error.strerror}"]) from None
    return read_mapping(content, f"{option}: {path}")
