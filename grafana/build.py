"""Writes every dashboard as JSON for Grafana: `python -m grafana.build [folder]`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.cutover import cutover
from grafana.exporter_health import exporter
from grafana.overview import overview
from grafana.server import source_server

FOLDER: Final = Path(__file__).parent / "dashboards"
_BOARDS: Final = {"overview": overview, "cutover": cutover, "server": source_server, "exporter": exporter}


def render_dashboards() -> Mapping[str, str]:
    """Return the JSON of each dashboard by file name; the same code always renders the same bytes."""
    return {f"{name}.json": _to_json(build()) for name, build in _BOARDS.items()}


def _to_json(built: Dashboard) -> str:
    """Return the JSON without the fields that the SDK adds and Grafana's types do not have."""
    content = json.loads(JSONEncoder().encode(built.build()))
    content.pop("style", None)
    for variable in content["templating"]["list"]:
        for key in ("auto", "auto_count", "auto_min", "id"):
            variable.pop(key, None)
    for panel in content["panels"]:
        panel.get("options", {}).pop("footer", None)
    return f"{json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False)}\n"


def main(folder: Path = FOLDER) -> None:
    """Write the files, and remove those of dashboards that no longer exist."""
    files = render_dashboards()
    for stray in {path.name for path in folder.glob("*.json")} - files.keys():
        (folder / stray).unlink()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
