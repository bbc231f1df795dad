"""The dashboards, compiled by TypeScript with the types that Grafana publishes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dashboards import boards
from programs import TOOLS, run

TYPES = TOOLS.parent / "grafana"
COMPILER = TYPES / "node_modules" / ".bin" / "tsc"


async def compile_dashboards(folder: Path, dashboards: dict[str, dict[str, Any]]) -> str:
    """Return the errors of the compiler, or nothing."""
    if not COMPILER.exists():
        if os.environ.get("CI"):
            pytest.fail("Grafana's types are missing: run make tools")
        pytest.skip("Grafana's types are missing: run make tools")
    types = json.dumps(str(TYPES / "types.js"))
    for name, dashboard in dashboards.items():
        text = json.dumps(dashboard, indent=1)
        source = f"import type {{ AnyDashboard }} from {types};\nexport const dashboard: AnyDashboard = {text};\n"
        (folder / f"{name}.ts").write_text(source, encoding="utf-8")
    config = {"extends": str(TYPES / "tsconfig.json"), "include": [str(folder / "*.ts")]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    status, output, errors = await run(str(COMPILER), "--project", str(folder))
    assert (status == 0) == (output == ""), errors
    return output


def all_dashboards() -> dict[str, dict[str, Any]]:
    return {name.removesuffix(".json"): dashboard for name, dashboard in boards().items()}


async def test_the_dashboards_have_the_types_of_grafana(tmp_path: Path) -> None:
    assert await compile_dashboards(tmp_path, all_dashboards()) == ""


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("table", ("options",), None),
        ("stat", ("options", "colorMode"), "rainbow"),
        ("timeseries", ("options", "showHeader"), True),
        ("timeseries", ("fieldConfig", "defaults", "custom", "drawStyle"), "dots"),
        ("stat", ("gridPos",), {"x": "left"}),
    ],
)
async def test_a_wrong_field_of_a_panel_is_an_error(
    kind: str, path: tuple[str, ...], value: Any, tmp_path: Path
) -> None:
    dashboards = {"overview": all_dashboards()["overview"]}
    node = next(panel for panel in dashboards["overview"]["panels"] if panel["type"] == kind)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert "overview.ts" in await compile_dashboards(tmp_path, dashboards)
