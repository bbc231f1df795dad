"""What the documentation shows works as printed."""

import re
from pathlib import Path

import pytest

from manifests import ROOT
from programs import program, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
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
