"""What the documentation shows works as printed."""

import json
import re
from pathlib import Path

import pytest

from manifests import ROOT
from programs import program, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROMQL = re.compile(r"^ *```promql\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PROMETHEUS = re.compile(r"^(?:global|scrape_configs|remote_write|rule_files):", re.MULTILINE)


def prometheus_configurations() -> list[tuple[Path, str]]:
    """Return each YAML block of the documentation that configures Prometheus, with its page."""
    return [
        (page, block)
        for page in PAGES
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if PROMETHEUS.search(block)
    ]


@pytest.mark.parametrize(("page", "text"), prometheus_configurations(), ids=lambda value: getattr(value, "name", ""))
async def test_a_prometheus_configuration_of_the_documentation_is_valid(page: Path, text: str, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(text, encoding="utf-8")
    status, output, errors = await run(program("promtool"), "check", "config", "--syntax-only", str(file))
    assert status == 0, f"{page}: {output}{errors}"


async def test_every_query_of_the_documentation_is_valid(tmp_path: Path) -> None:
    queries = [query for page in PAGES for query in PROMQL.findall(page.read_text(encoding="utf-8"))]
    assert len(queries) > 50
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "documentation", "rules": rules}]}), encoding="utf-8")
    status, output, errors = await run(program("promtool"), "check", "rules", str(file))
    assert status == 0, output + errors
