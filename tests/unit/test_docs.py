"""The reference pages match the code, and links lead to existing files."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import exporter
from tools.docs import alerts, chart
from tools.docs.generate import FOLDER, pages

ROOT = FOLDER.parent
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warn",
    "error": "error",
    "exception": "error",
    "log_exception": "error",
}
"""The level in the log by the method that writes it; the last one is aiohttp's."""


@pytest.mark.parametrize("name", ["metrics.md", "fields.md", "configuration.md"])
def test_a_reference_page_is_built_from_the_code(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "run: make docs"


def test_the_table_of_the_charts_values_is_built_from_them() -> None:
    assert chart.README.read_text(encoding="utf-8") == chart.page(), "run: make docs"


def test_the_index_of_alerts_is_built_from_the_rules_and_runbooks() -> None:
    assert alerts.INDEX.read_text(encoding="utf-8") == alerts.page(), "run make docs"


def test_every_value_of_the_chart_is_described() -> None:
    described = {path for path, _, _ in chart.values()}
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text(encoding="utf-8"))
    groups = {path.partition(".")[0] for path in described if "." in path}
    expected = {f"{name}.{key}" for name in groups for key in values[name]} | (values.keys() - groups)
    assert described == expected
    schema = json.loads((chart.CHART / "values.schema.json").read_text(encoding="utf-8"))
    foreign = {name for name, value in schema["properties"].items() if value is True}
    assert schema["properties"].keys() - {"global"} - foreign == values.keys()
    hints = (chart.CHART / "templates" / "foreign.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r'^  "(\w+)" "', hints, re.MULTILINE)) == foreign


def test_every_page_is_linked_from_the_index_of_the_documentation() -> None:
    linked = {target for target, _ in LINK.findall((FOLDER / "README.md").read_text(encoding="utf-8"))}
    assert {page.name for page in FOLDER.glob("*.md")} - {"README.md"} <= linked


def test_contributing_lists_the_packages_from_the_lowest_layer_to_the_highest() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    rank = {package: number for number, layer in enumerate(reversed(layers)) for package in re.findall(r"\w+", layer)}
    rows = re.findall(r"^\| (`.*`) \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    packages = [package for row in rows for package in re.findall(r"`(\w+)(?:\.py|/)`", row)]
    assert packages == sorted(packages, key=rank.__getitem__)
    assert sorted(packages) == sorted(rank)


def logged() -> Iterator[tuple[str, str]]:
    """Yield the level and the message of each line that the exporter may log."""
    for file in Path(exporter.__file__).parent.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        words = {
            name.id: node.value
            for node in nodes
            if isinstance(node, ast.Assign)
            for name in node.targets
            if isinstance(name, ast.Name)
        }
        for node in nodes:
            match node:
                case ast.Call(ast.Attribute(ast.Name("log" | "access_log" | "self"), method), [first, *_]) if (
                    method in LEVELS
                ):
                    yield LEVELS[method], ast.literal_eval(words[first.id] if isinstance(first, ast.Name) else first)


def test_every_line_that_is_logged_is_in_the_documentation_and_no_other() -> None:
    page = (FOLDER / "logs.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| ({'|'.join({*LEVELS.values()})}) \| (.*?) \|", page, re.MULTILINE)
    documented = [(level, message) for level, cell in rows for message in re.findall(r"`([^`]+)`", cell)]
    assert sorted(documented) == sorted(set(logged()))
