"""Builds the table of the chart's values, from values.yaml and the descriptions in its comments."""

import json
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[2] / "deploy" / "kubernetes" / "chart"
README: Final = CHART / "README.md"
HEADING: Final = "## Values\n"

_KEY: Final = re.compile(r"( *)([A-Za-z]+):")
_DESCRIPTION: Final = "# -- "


def page() -> str:
    """Return the chart's README with its table rebuilt; the text above the table is kept."""
    above, _, _ = README.read_text(encoding="utf-8").partition(HEADING)
    rows = (f"| `{path}` | `{default}` | {description} |" for path, default, description in values())
    return "\n".join((f"{above}{HEADING}", "| value | default | meaning |", "| --- | --- | --- |", *rows, ""))


def values() -> Iterator[tuple[str, str, str]]:
    """Return path, default as JSON, and description of each value that has one, in the order of the file."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    defaults = yaml.safe_load(text)
    above: list[str] = []
    description = ""
    for line in text.splitlines():
        if line.lstrip().startswith(_DESCRIPTION):
            description = line.lstrip().removeprefix(_DESCRIPTION)
        elif key := _KEY.match(line):
            above = [*above[: len(key[1]) // 2], key[2]]
            if description:
                yield ".".join(above), json.dumps(_at(defaults, above)), description
            description = ""


def _at(tree: Any, path: list[str]) -> Any:  # noqa: ANN401 - YAML
    return reduce(lambda node, key: node[key], path, tree)
