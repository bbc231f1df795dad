"""The dashboards' JSON: panels, queries and variables, and the interpolation of variables."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "grafana" / "dashboards"

# Variables that Grafana sets; the values suit one scrape per second.
BUILT_IN = {"__rate_interval": "15s", "__range": "60s", "__interval": "2s"}

# `$1` is PromQL's own.
_VARIABLE = re.compile(r"\$(?:\{([a-z_]\w*)[^}]*\}|([a-z_]\w*))")


@dataclass(frozen=True)
class Query:
    """A query of a panel, and its location."""

    board: str
    panel: str
    letter: str
    expression: str
    legend: str
    instant: bool


def boards() -> Mapping[str, dict[str, Any]]:
    """Return each checked-in dashboard by file name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the panels of a dashboard without row titles."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    """Return every query of every panel."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(
                    name,
                    panel["title"],
                    target["refId"],
                    target["expr"],
                    target.get("legendFormat", ""),
                    target["instant"],
                )


def variables(board: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the variables of a dashboard."""
    found: list[dict[str, Any]] = board["templating"]["list"]
    return found


def variables_in(text: str) -> set[str]:
    """Return the names of the variables that a text uses."""
    return {braced or plain for braced, plain in _VARIABLE.findall(text)}


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Replace variables by their values; KeyError names one without a value."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def values_of_all(board: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the variables with `All` selected, or their defaults; query variables are left out."""
    values = dict(BUILT_IN)
    for variable in variables(board):
        value = variable.get("allValue") or variable.get("current", {}).get("value")
        if value is not None:
            values[variable["name"]] = value
    return values
