"""The reference pages are what the code says, and links lead somewhere."""

import json
import re
from pathlib import Path

import pytest
import yaml

from docs import chart
from docs.generate import FOLDER, pages

ROOT = FOLDER.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(FOLDER.rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")


@pytest.mark.parametrize("name", ["metrics.md", "fields.md", "configuration.md"])
def test_a_reference_page_is_built_from_the_code(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "build it anew: make docs"


def test_the_table_of_the_charts_values_is_built_from_them() -> None:
    assert chart.README.read_text(encoding="utf-8") == chart.page(), "build it anew: make docs"


def test_every_value_of_the_chart_is_described() -> None:
    described = {path for path, _, _ in chart.values()}
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text(encoding="utf-8"))
    groups = {path.partition(".")[0] for path in described if "." in path}
    expected = {f"{name}.{key}" for name in groups for key in values[name]} | (values.keys() - groups)
    assert described == expected
    schema = json.loads((chart.CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert schema["properties"].keys() - {"global"} == values.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    for target, _ in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_linked_from_the_index_of_the_documentation() -> None:
    linked = {target for target, _ in LINK.findall((FOLDER / "README.md").read_text(encoding="utf-8"))}
    assert {page.name for page in FOLDER.glob("*.md")} - {"README.md"} <= linked
